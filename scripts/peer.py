"""The programs of scripts/bench: builds them, runs one side against another over memif, and ends them."""

import contextlib
import json
import math
import os
import pathlib
import shlex
import signal
import subprocess
import time

import figures

# The peer against itself, its client against our server, our client against its server, frames alone.
KINDS = ("own", "serve", "connect", "floor")
SERVER, CLIENT, OWN = "198.18.0.1", "198.18.1.1", "198.18.255.1"
REQUEST, REPLY = 85, 99
# Slots of a memif ring, as a power of two: the peer's.
RSIZE = 12
# What the peer keeps: frames in each of 4 pools, bytes of each, bytes a socket, ports of an address.
MBUFS, MBUF_BYTES, SOCKET_BYTES, PORTS = 16_384, 2_560, 80, 65_535
# The peer wants twice its rate in sockets, and some to spare.
LIFE_S = 2.2
# Time to start, to find each other, to end.
START_S, SPARE_S = 20, 30
# What our own two sides have for frames, in pages of 2 MB, where no peer runs.
FRAME_PAGES = 128
# With --flat so many connections a second are opened until all are there.
FILLING = 300_000
# How long the machine is looked at before each run, with nothing of ours on it.
LOOK_S = 0.3


class Fail(Exception):
    """It cannot be measured; says why, and what to do."""


class Children:
    """Processes that are ended whatever happens, each in a group of its own with those that it starts."""

    def __init__(self, work):
        self.work = work
        self.running = []

    def start(self, name, words, **environment):
        """Starts a program whose output goes into files of that name."""
        out, err = open(self.work / f"{name}.out", "wb"), open(self.work / f"{name}.err", "wb")
        with out, err:
            child = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "TMPDIR": str(self.work), **environment},
                start_new_session=True,
            )
        self.running.append(child)
        return child

    def end(self, child, patience=10):
        """Asks it to end, and ends it with all that it started."""
        if child.poll() is None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child in self.running:
            self.running.remove(child)

    def end_all(self):
        for child in list(self.running):
            self.end(child, patience=1)

    def wait(self, child, name, seconds):
        """Until it has ended by itself, with status 0."""
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise figures.Wrong(f"{name} did not end within {seconds} s: {self.last(name)}") from None
        finally:
            self.end(child)
        if status != 0:
            raise figures.Wrong(f"{name} ended with status {status}: {self.last(name)}")

    def until_there(self, path, child, name):
        """Until the socket appears that the child of that name opens."""
        limit = time.monotonic() + START_S
        while not path.exists():
            if child.poll() is not None or time.monotonic() > limit:
                raise figures.Wrong(f"{name} did not open its socket: {self.last(name)}")
            time.sleep(0.02)

    def last(self, name):
        """What it said last."""
        for file in (self.work / f"{name}.err", self.work / f"{name}.out"):
            lines = file.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:300]
        return "it said nothing"

    def lines(self, name):
        """The JSON documents that it printed, a line each."""
        text = (self.work / f"{name}.out").read_text(errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def clients(rate):
    """Addresses that the peer's client needs for a rate."""
    return math.ceil(rate * LIFE_S / PORTS)


def source(rate):
    """Our client's addresses, as a prefix, and how many the peer's server is to know."""
    bits = max(2, math.ceil(math.log2(clients(rate) + 2)))
    if bits > 8:
        raise Fail(f"the peer knows 254 addresses, too few for {rate:,} a second: give a lower rate")
    return f"198.18.1.0/{32 - bits}:1-{PORTS}", 2**bits - 2


def pages_needed(rate):
    """Pages of 2 MB for both sides of the peer."""
    side = 4 * MBUFS * MBUF_BYTES + source(rate)[1] * PORTS * SOCKET_BYTES
    return math.ceil(2 * side / (2 << 20)) + 64


@contextlib.contextmanager
def huge_pages(root, needed):
    """So many pages of 2 MB, reserved for the time of the measurement where there are none at all."""
    folder = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    all_of, free = (int((folder / name).read_text()) for name in ("nr_hugepages", "free_hugepages"))
    if free >= needed:
        yield
        return
    if all_of > 0 or os.geteuid() != 0:
        raise Fail(
            f"it takes {needed} hugepages of 2 MB and {free} are free: as root, "
            f"scripts/hugepages --no-mount {all_of - free + needed}"
        )
    made = subprocess.run([root / "scripts/hugepages", "--no-mount", str(needed)], capture_output=True, text=True)
    try:
        if made.returncode != 0:
            raise Fail(made.stderr.strip() or "hugepages could not be reserved")
        yield
    finally:
        subprocess.run([root / "scripts/hugepages", "--release"], capture_output=True)


class World:
    """Everything that runs, and where."""

    def __init__(self, a, root, work):
        self.root, self.work, self.children = root, work, Children(work)
        self.peer, self.binary = pathlib.Path(a.dperf), a.binary and pathlib.Path(a.binary)
        self.ours, self.stolen_most, self.number = shlex.split(a.ours), a.stolen / 100, 0
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2 and a.cpus is None:
            raise Fail("each side spins on a CPU of its own, and this process may use only one")
        try:
            self.cpus = [int(n) for n in a.cpus.split(",")] if a.cpus else allowed[:2]
        except ValueError:
            raise Fail(f"--cpus {a.cpus} is not two numbers such as 0,1") from None
        if len(self.cpus) != 2 or len(set(self.cpus)) != 2 or not set(self.cpus) <= set(allowed):
            raise Fail(f"--cpus wants two of {allowed}")
        if a.peer and not os.access(self.peer / "build", os.X_OK):
            raise Fail(
                f"there is no peer in {self.peer}: give its folder, the one with build and run, by --dperf or in the "
                "environment's DPDK_TCP_PEER"
            )

    def end(self):
        """Ends what still runs; whoever is impatient now would leave it behind."""
        for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(which, signal.SIG_IGN)
        self.children.end_all()

    def build(self, wants_peer):
        """Builds the peer where it is wanted, and our program where none was given."""
        if wants_peer:
            self.build_peer()
        if self.binary is None:
            self.binary = self.build_ours()
        if not os.access(self.binary, os.X_OK):
            raise Fail(f"{self.binary} is no program: build it by cargo build --release, or leave --binary out")

    def build_peer(self):
        self.built = self.work / "peer"
        print("builds the peer", flush=True)
        child = self.children.start("build", [self.peer / "build", self.built])
        try:
            self.children.wait(child, "build", 300)
        except figures.Wrong as why:
            raise Fail(f"the peer cannot be built: {why} (it needs gcc, pkg-config, libdpdk-dev, patch)") from None

    def build_ours(self):
        print("builds dpdk-tcp", flush=True)
        done = subprocess.run(["cargo", "build", "--release", "--locked"], cwd=self.root)
        if done.returncode != 0:
            raise Fail("dpdk-tcp cannot be built")
        told = subprocess.run(
            ["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        return pathlib.Path(json.loads(told.stdout)["target_directory"]) / "release/dpdk-tcp"

    def run(self, kind, rate, seconds, tx_burst, *more):
        """One run: its sides, and what the machine did to it."""
        self.number += 1
        socket = self.work / f"memif-{self.number}"
        idle = self.spent()
        time.sleep(LOOK_S)
        before, since = self.spent(), time.monotonic()
        try:
            sides = getattr(self, kind)(socket, rate, seconds, tx_burst, *more)
        finally:
            self.children.end_all()
            socket.unlink(missing_ok=True)
        stolen = figures.stolen(before, self.spent(), time.monotonic() - since)
        return sides, figures.Machine(stolen, figures.beside(idle, before))

    def spent(self):
        """What both cores spent their time on so far, in hundredths of a second."""
        with open("/proc/stat", encoding="ascii") as file:
            rows = [line.split() for line in file if line.startswith("cpu") and line[3].isdigit()]
        return {int(row[0][3:]): [int(n) for n in row[1:9]] for row in rows if int(row[0][3:]) in self.cpus}

    def peer_run(self, role, rate, seconds, tx_burst, *words):
        return [
            self.peer / "run",
            role,
            "--dperf",
            self.built / "dperf-bin",
            "--cps",
            rate,
            "--duration",
            seconds,
            "--tx-burst",
            tx_burst,
            "--mbufs",
            MBUFS,
            "--cpu-server",
            self.cpus[0],
            "--cpu-client",
            self.cpus[1],
            *words,
        ]

    def own(self, _socket, rate, seconds, tx_burst):
        child = self.children.start("own", self.peer_run("both", rate, seconds, tx_burst, "--clients", clients(rate)))
        self.children.wait(child, "own", seconds + START_S + SPARE_S)
        return {line["role"]: figures.theirs(line) for line in self.children.lines("own")}

    def our(self, role, cpu, socket, tx_burst, words):
        """Our program's words. What it keeps is under a name of its own, and in memory alone."""
        device = f"net_memif0,role={role},socket={socket},socket-abstract=no,rsize={RSIZE}"
        return [
            self.binary,
            "--lcores",
            f"0@{cpu}",
            "--no-pci",
            "--in-memory",
            "--no-telemetry",
            "--file-prefix",
            f"bench-{os.getpid()}-{self.number}",
            "--vdev",
            device,
            "--",
            *words,
            "--tx-burst",
            tx_burst,
            "--stats-interval",
            "0",
            "--json",
            self.work / f"{words[0]}.json",
            *self.ours,
        ]

    def document(self, name):
        try:
            return json.loads((self.work / f"{name}.json").read_text())
        except (OSError, ValueError):
            raise figures.Wrong(f"our {name} left no figures: {self.children.last(name)}") from None

    def our_server(self, socket, tx_burst, *words):
        """Our server, once it can be connected to."""
        common = ["serve", "--addr", f"{SERVER}/16", "--listen", "80=reply", "--reply-size", REPLY]
        common += ["--backlog", "256k", "--drain", "1s"]
        words = self.our("server", self.cpus[0], socket, tx_burst, [*common, *words])
        server = self.children.start("serve", words)
        self.children.until_there(socket, server, "serve")
        return server

    def our_client(self, socket, tx_burst, *words):
        """Our client, which asks on the handshake's last segment where nothing waits, and closes on the reply, as the
        peer's does."""
        common = ["connect", f"{SERVER}:80", "--addr", f"{OWN}/16", "--profile", "crr", "--talk", "raw"]
        common += ["--request-size", REQUEST, "--close", "peer", "--drain", "1s"]
        return self.children.start("connect", self.our("client", self.cpus[1], socket, tx_burst, [*common, *words]))

    def serve(self, socket, rate, seconds, tx_burst):
        """The peer's client, which asks for our address and starts when it is told."""
        pairs = clients(rate) * PORTS
        at_most = f"{seconds + START_S + 2 * SPARE_S}s"
        limits = ["--max-connections", "512k", "--time-wait-max", pairs, "--duration", at_most]
        server = self.our_server(socket, tx_burst, *limits)
        words = self.peer_run("client", rate, seconds, tx_burst, "--clients", clients(rate), "--socket", socket)
        client = self.children.start("client", words)
        self.children.wait(client, "client", seconds + START_S + SPARE_S)
        server.terminate()
        self.children.wait(server, "serve", SPARE_S)
        [line] = self.children.lines("client")
        return {"server": figures.ours(self.document("serve"), "server"), "client": figures.theirs(line)}

    def connect(self, socket, rate, seconds, tx_burst):
        """Our client and the peer's server."""
        sources, known = source(rate)
        server = self.children.start(
            "server", self.peer_run("server", rate, seconds + 5, tx_burst, "--clients", known, "--socket", socket)
        )
        self.children.until_there(socket, server, "server")
        load = ["--rate", rate, "--ramp", "1s", "--duration", f"{seconds}s"]
        client = self.our_client(socket, tx_burst, "--source", sources, *load, "--max-connections", "512k")
        self.children.wait(client, "connect", seconds + START_S + SPARE_S)
        self.children.wait(server, "server", START_S + SPARE_S)
        [line] = self.children.lines("server")
        return {"server": figures.theirs(line), "client": figures.ours(self.document("connect"), "client")}

    def flat(self, socket, connections, seconds, tx_burst, slots):
        """Our client against our server, with so many connections open of which any goes on next. Both have memory for
        the same number, however many there are."""
        limits = ["--max-connections", slots, "--time-wait", "1s"]
        server = self.our_server(socket, tx_burst, *limits, "--time-wait-max", "3M")
        ramp = math.ceil(connections / FILLING)
        load = ["--concurrency", connections, "--order", "random", "--ramp", f"{ramp}s", "--duration", f"{seconds}s"]
        sources = f"198.18.1.0/24:1-{PORTS}"
        client = self.our_client(socket, tx_burst, "--source", sources, *load, *limits, "--reply-timeout", "2m")
        self.children.wait(client, "connect", ramp + seconds + START_S + SPARE_S)
        server.terminate()
        self.children.wait(server, "serve", SPARE_S)
        return {
            name: figures.held(self.document(file), name, connections)
            for name, file in (("server", "serve"), ("client", "connect"))
        }

    def floor(self, socket, rate, seconds, tx_burst):
        sides = {}
        for role, cpu in zip(("server", "client"), self.cpus, strict=True):
            words = [self.built / "floor", role, socket, cpu, rate, seconds, "realloc", tx_burst, RSIZE, REQUEST, REPLY]
            sides[role] = self.children.start(f"floor-{role}", words)
            if role == "server":
                self.children.until_there(socket, sides[role], "floor-server")
        for role in ("client", "server"):
            self.children.wait(sides[role], f"floor-{role}", seconds + START_S)
        return {role: figures.floor(self.children.lines(f"floor-{role}")[0]) for role in sides}
