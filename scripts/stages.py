"""The stages of a connection: what each should take by what the machine takes, which part of the program belongs to it,
and how instructions that callgrind has counted are told apart by that. Pure."""

import collections
import re
from typing import NamedTuple


class Stage(NamedTuple):
    """One row of the budget, both sides together."""

    name: str
    low: int  # cycles, estimated
    high: int
    why: str  # the estimate
    files: tuple  # below src/, as patterns
    functions: tuple = ()  # these are the stage's wherever their lines come from


# A crr of six packets; a number is that of both sides. First fits first, functions before files.
STAGES = (
    Stage(
        "checksums",
        120,
        160,
        "12 sums, computed and verified, of 64 bytes on average, 10 to 13 each",
        (r"wire/checksum",),
    ),
    Stage(
        "clock offsets and ISNs",
        42,
        52,
        "2 SipHashes, 21 to 26 each",
        (r"tcp/isn", r"tcp/timestamps"),
        (r"tcp::isn::", r"admit::.*::seed$"),
    ),
    Stage(
        "hashes of endpoints",
        110,
        220,
        "11 blocks of AES, 10 to 20 each: one a frame, two to open, one at the end of TIME-WAIT, two for clocks",
        (r"base/hash", r"base/aes", r"flow/key"),
    ),
    Stage(
        "index",
        140,
        220,
        "6 look-ups, 3 entries in and 3 out, of which 12 wait for the L2 (14) once, and some steps",
        (r"flow/table", r"flow/bucket", r"base/simd"),
    ),
    Stage("link", 40, 90, "12 hops of 3 to 7 cycles", (r"link/", r"engine/port", r"dpdk/")),
    Stage(
        "TIME-WAIT",
        60,
        120,
        "one record in, one out: 2 lines each, and where it stands",
        (r"flow/time_wait_ring", r"engine/records", r"tcp/time_wait"),
        (r"::expire_records", r"::take_record"),
    ),
    Stage(
        "timers",
        60,
        150,
        "6 armings, of two bits and a place in a queue, 10 to 25 each",
        (r"engine/timers", r"engine/wheel", r"engine/expire", r"tcp/rto"),
        (r"quick::.*::arm",),
    ),
    Stage(
        "output",
        120,
        240,
        "6 segments, 20 to 40 each: what is owed, and its fields",
        (r"tcp/output", r"tcp/tcb/quick/output", r"tcp/ack_policy"),
    ),
    Stage(
        "frames built",
        240,
        420,
        "6 frames, 40 to 70 each: where to, 66 bytes of headers, text, the queue of the port",
        (r"engine/pay", r"engine/emit"),
        (r"engine::emit::", r"engine::pay::"),
    ),
    Stage(
        "headers read",
        180,
        300,
        "6 frames, 30 to 50 each: three headers, options, whose address it is",
        (r"wire/", r"engine/classify", r"engine/host", r"inet/"),
        (r"engine::classify::",),
    ),
    Stage(
        "opened and freed",
        160,
        320,
        "2 entries of two lines, filled and freed; who may open, and from where",
        (
            r"engine/(admit|active|listen|abandon|entry|slot|slots)\b",
            r"tcp/tcb/quick/open",
            r"tcp/arrives/(listen|closed)",
            r"flow/(listeners|per_address|source_port)",
        ),
    ),
    Stage("segment arrives", 180, 360, "6 segments, 30 to 60 each: the RFC's eight steps", (r"tcp/",)),
    Stage(
        "the shard around it",
        120,
        240,
        "6 segments, 20 to 40 each: is it the one, whom to tell, what is owed, what changed",
        (r"engine/(process|usual|arrivals|shard)\b",),
    ),
    Stage(
        "application and texts",
        160,
        320,
        "6 callbacks, 4 calls, 20 to 30 each; a request and a reply of a line or two",
        (r"app/", r"engine/(api|choices)", r"load/", r"stats/", r"base/bytes"),
    ),
    Stage(
        "the loop",
        30,
        80,
        "a share of a pass, with one or two looks at the clock (37)",
        (r"engine/", r"measure/", r"base/cycles", r"cli/"),
    ),
)
REST = "the rest"
# Done once, and so long as a time has passed.
ONCE = ("std::sync::once::", "quanta::")
# Where the tables stand in a document.
BEGIN, END = "<!-- scripts/budget -->\n", "<!-- scripts/budget ends -->\n"
# What helps everywhere belongs to whoever uses it.
HELPERS = re.compile(r"(^|/)src/(base/(pages|slab|list|ring|bag|index_queue|time|ids|burst|rng|prefetch|rate)|wire/(seq|mod))\.rs$")
OURS = re.compile(
    r"(?:^|/)src/((?:app|base|cli|config|dpdk|engine|flow|inet|kernel|link|load|measure|stats|tcp|telemetry|wire)"
    r"/.*)\.rs$"
)

NAME = re.compile(r"(fl|fi|fe|fn|cfi|cfl|cfn)=\((\d+)\)(?: (.*))?$")
COST = re.compile(r"[+\-*]?\d*\s+(\d+)$")


def read(lines):
    """Instructions by function and the part of our source that they come from, from a file of callgrind's. Lines of
    the language's library, and of what helps everywhere, go to the part of ours that stands before them."""
    names = {"f": {}, "fn": {}}
    counts = collections.Counter()
    function, part, is_call = "", "", False
    for row in lines:
        row = row.rstrip("\n")
        named = NAME.match(row)
        if named:
            kind, number, name = named.groups()
            table = names["fn" if kind.endswith("fn") else "f"]
            if name is not None:
                table[number] = name
            if kind == "fn":
                function = re.sub(r"'\d+$", "", table.get(number, ""))
            elif kind in ("fl", "fi", "fe"):
                part = part_of(table.get(number, ""), "" if kind == "fl" else part)
        elif row.startswith("calls="):
            is_call = True
        elif is_call:
            # What the function that is called has cost.
            is_call = False
        else:
            cost = COST.match(row)
            if cost and row[0] in "+-*0123456789":
                counts[function, part] += int(cost.group(1))
    return counts


def part_of(file, before):
    """The part of ours that a file is, or that it was called from."""
    ours = OURS.search(file)
    if ours is None or HELPERS.search(file):
        return before
    return ours.group(1)


def stage_of(function, part):
    """The stage that they belong to."""
    for stage in STAGES:
        if any(re.search(pattern, function) for pattern in stage.functions) and not part.startswith("wire/checksum"):
            return stage.name
    for stage in STAGES:
        if any(re.match(pattern, part) for pattern in stage.files):
            return stage.name
    return REST


def a_connection(few, many, connections):
    """Instructions a connection by stage: what a run with many took more than one with few."""
    by_stage = collections.Counter()
    for key in many.keys() | few.keys():
        if key[0].startswith(ONCE):
            continue
        by_stage[stage_of(*key)] += many[key] - few[key]
    return {name: total / connections for name, total in by_stage.items()}


def table(instructions, cycles):
    """The budget as Markdown. Cycles are shared out by instructions: no clock is read within a stage."""
    total = sum(instructions.values())
    rows = ["| stage | estimate, cycles | from | instructions | cycles |", "|---|---|---|---|---|"]
    for stage in STAGES:
        found = instructions.get(stage.name, 0)
        share = cycles * found / total
        rows.append(f"| {stage.name} | {stage.low} to {stage.high} | {stage.why} | {found:,.0f} | {share:,.0f} |")
    rest = instructions.get(REST, 0)
    rows.append(f"| {REST} | | | {rest:,.0f} | {cycles * rest / total:,.0f} |")
    low, high = sum(stage.low for stage in STAGES), sum(stage.high for stage in STAGES)
    rows.append(f"| all | {low:,} to {high:,} | | {total:,.0f} | {cycles:,.0f} |")
    return "\n".join(rows)


def laps(few, many, names):
    """The loop's own stages as Markdown, with few connections and with many: (client, server) each."""
    numbers = [f"{side}, {at:,}" for at in (few[0], many[0]) for side in ("client", "server")]
    rows = ["| the loop's stage | " + " | ".join(numbers) + " | more |", "|---" * 6 + "|"]
    sums = [0.0] * 4
    for name in names:
        values = [side[name] for _, sides in (few, many) for side in sides]
        sums = [so_far + value for so_far, value in zip(sums, values, strict=True)]
        rows.append(lap(name, values))
    rows.append(lap("all", sums))
    return "\n".join(rows)


def lap(name, values):
    more = values[2] + values[3] - values[0] - values[1]
    return f"| {name} | " + " | ".join(f"{value:,.0f}" for value in values) + f" | {more:,.0f} |"


def put(text, tables):
    """The document with new tables between the marks."""
    before, found, rest = text.partition(BEGIN)
    _, ends, behind = rest.partition(END)
    if not found or not ends:
        return None
    return f"{before}{BEGIN}{tables}\n{END}{behind}"
