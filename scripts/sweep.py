"""Runs of dpdk-tcp bench with client and server in turn on one core, for scripts/curves and scripts/budget."""

import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import figures

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Where pictures are drawn, and the figures beside them.
FOLDER, FILE = ROOT / "docs/pictures", "curves.csv"
UNITS = {"k": 1_000, "M": 1_000_000}
STAGES = ("rx", "classify", "lookup", "process", "timers", "pay", "tx", "other")
FIELDS = ("concurrency", "side", "rate", "cycles", "floor", "packets", *STAGES)
SIDES = ("client", "server")
# Memory: what a connection takes at most on both sides, with all that is kept of it, and what every run does.
CONNECTION_BYTES, RUN_BYTES = 1_000, 2 << 30
# So many at a time are run once: most of the time goes into opening them.
ONCE_FROM = 1_000_000
# How long the machine is looked at before each run, and what other programs may take before figures are doubted.
LOOK_S, BESIDE_MOST = 0.3, 0.05
# A run is given so long, and so much more for each connection that is opened before anything is measured.
PATIENCE_S, FILLING_S = 60, 60e-6


class Fail(Exception):
    """It cannot be measured; says why, and what to do."""


def count(text):
    """A number as the program writes it."""
    unit = UNITS.get(text[-1:], 1)
    digits = text[:-1] if unit > 1 else text
    if not digits.isdigit() or int(digits) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 64, 10k or 1M")
    return int(digits) * unit


def add_binary(p):
    """Whose runs they are."""
    p.add_argument("--binary", metavar="FILE", help="dpdk-tcp itself (built here by cargo build --release)")


def add_arguments(p):
    """What can be said of the runs."""
    add_binary(p)
    p.add_argument("--link", choices=("ring", "memory"), default="ring", help="between client and server (ring)")
    p.add_argument("--seconds", type=int, default=1, help="that each run measures (1)")
    p.add_argument(
        "--repeats",
        type=int,
        default=3,
        help=f"runs of each number, of which the median counts (3); {ONCE_FROM:,} and more are run once",
    )
    p.add_argument("--words", default="", metavar="WORDS", help="more options for bench, as one word: '--burst 64'")


def program(a):
    """Our own, built where none was given."""
    if a.binary:
        return pathlib.Path(a.binary).resolve()
    if subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT).returncode != 0:
        raise Fail("dpdk-tcp cannot be built")
    words = ["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return pathlib.Path(json.loads(told.stdout)["target_directory"]) / "release/dpdk-tcp"


def memory(concurrency):
    """What a run takes at most, in bytes."""
    return RUN_BYTES + concurrency * CONNECTION_BYTES


def free_bytes():
    """Memory that is available."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def spent():
    """What every CPU spent its time on so far, in hundredths of a second."""
    with open("/proc/stat", encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("cpu") and line[3].isdigit()]
    return {int(row[0][3:]): [int(n) for n in row[1:9]] for row in rows}


def doubt(shares):
    """A sentence where other programs took much of a CPU before the runs."""
    worst = max(shares, default=0)
    if worst <= BESIDE_MOST:
        return ""
    return f"these figures are worth little: other programs took {worst:.0%} of a CPU before the runs"


def beside():
    """The share of the busier CPU's time that others take."""
    before = spent()
    time.sleep(LOOK_S)
    return figures.beside(before, spent())


def measure(binary, concurrency, a):
    """Rows of a number, a side each."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "run.json"
        words = f"bench --cores 1 --profile crr --ramp 100ms --stats-interval 0 --link {a.link}".split()
        repeats = a.repeats if concurrency < ONCE_FROM else 1
        words += ["--concurrency", str(concurrency), "--duration", f"{a.seconds}s", "--repeats", str(repeats)]
        limit = repeats * (PATIENCE_S + 2 * a.seconds + concurrency * FILLING_S)
        try:
            done = subprocess.run(
                [binary, *words, "--json", file, *a.words.split()], capture_output=True, text=True, timeout=limit
            )
        except subprocess.TimeoutExpired:
            raise Fail(f"{concurrency:,} connections were not done within {limit:.0f} s") from None
        if done.returncode != 0:
            raise Fail(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return rows(json.loads(file.read_text()), concurrency)


def rows(document, concurrency):
    """Medians over the repeats of a run's document (docs/schema/run.schema.json), a row a side."""
    made = []
    for name in SIDES:
        sides = [run[name] for run in document["runs"]]
        values = {
            "rate": [side["connections_per_second"] for side in sides],
            "cycles": [side["cycles_per_connection"] for side in sides],
            "floor": [side["floor_cycles_per_connection"] for side in sides],
            "packets": [side["packets_per_connection"] for side in sides],
        }
        values |= {stage: [side["stages"][stage] for side in sides] for stage in STAGES}
        medians = {field: round(statistics.median(of), 2) for field, of in values.items()}
        made.append({"concurrency": concurrency, "side": name, **medians})
    return made


def read(file):
    """The figures as they were measured."""
    try:
        with open(file, newline="", encoding="utf-8") as text:
            return [
                {field: row[field] if field == "side" else float(row[field]) for field in FIELDS}
                for row in csv.DictReader(text)
            ]
    except OSError as why:
        raise Fail(f"{file} cannot be read: {why.strerror}; scripts/curves makes it") from None
