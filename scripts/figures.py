"""What scripts/bench and scripts/instructions do with numbers: pure, to be tested without anything that runs."""

import random
import statistics
from typing import NamedTuple


class Side(NamedTuple):
    """What one side of one run showed."""

    cycles: float  # busy, a connection closed: the median of whole seconds
    packets: float  # a connection, received and sent
    retransmitted: int  # segments sent again
    busy: float  # share of all cycles, 0 to 1
    rate: float  # connections closed a second
    closed: int  # connections closed in the whole run


class Wrong(Exception):
    """A run that measured nothing; says why."""


def bootstrap(values, seed, draws=10_000, share=0.95):
    """The interval in which so large a share of the medians lies that are drawn from the values, with repetition."""
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(draws))
    edge = (1 - share) / 2
    return quantile(medians, edge), quantile(medians, 1 - edge)


def quantile(ordered, at):
    """Of values in order, with lines between them."""
    place = at * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ratios(ours, own):
    """Of runs with the same number; where either is missing there is none."""
    return [ours[at] / own[at] for at in sorted(ours) if own.get(at, 0) > 0]


def steady(closed):
    """The places of whole seconds at the full rate, by connections closed in each: the first and the last second in
    which any was are left out, and those with less than four fifths of the most. The peer's own rule."""
    busy = [n for n, count in enumerate(closed) if count > 0]
    inner = busy[1:-1]
    most = max((closed[n] for n in inner), default=0)
    return [n for n in inner if closed[n] > 0.8 * most]


def ours(document, role):
    """A side of ours from the program's own document (docs/schema/run.schema.json)."""
    run = document["runs"][0]
    chosen = [run["series"][n] for n in steady([second["closed"] for second in run["series"]])]
    if not chosen:
        raise Wrong(f"our {role} closed connections in no whole second")
    return side_in(document, role, chosen, sum(run[role]["account"]["closed"].values()))


def held(document, role, connections):
    """As `ours`, of whole seconds in which (nearly) so many connections were open and some were closed."""
    series = document["runs"][0]["series"]
    places = [n for n, second in enumerate(series) if second["open"] >= 0.95 * connections and second["closed"] > 0]
    # In the first of them it began, and in the last it ended.
    chosen = [series[n] for n in places[1:-1]]
    if not chosen:
        raise Wrong(f"our {role} had {connections:,} connections open in no whole second")
    return side_in(document, role, chosen, sum(second["closed"] for second in chosen))


def side_in(document, role, seconds, closed):
    """A side of ours by these seconds, in which and around which so many connections closed."""
    side, hz = document["runs"][0][role], document["machine"]["tsc_hz"]
    return Side(
        cycles=statistics.median(s[f"{role}_busy"] * s["len_s"] * hz / s["closed"] for s in seconds),
        packets=side["packets_per_connection"],
        retransmitted=side["retransmitted"],
        busy=statistics.median(s[f"{role}_busy"] for s in seconds),
        rate=statistics.median(s["connections_per_second"] for s in seconds),
        closed=closed,
    )


def theirs(line):
    """A side of the peer's from the line that its `run` prints."""
    if "error" in line:
        raise Wrong(f"the peer's {line['role']} says: {line['error']}: {line.get('log', '').strip()[-200:]}")
    if line["cycles_per_conn"] is None:
        raise Wrong(f"the peer's {line['role']} closed no connection")
    whole = line["whole_run"]
    return Side(
        cycles=line["cycles_per_conn"],
        packets=line["pkts_per_conn"],
        retransmitted=sum(whole[name] for name in ("syn_rt", "fin_rt", "ack_rt", "push_rt")),
        busy=line["cpu"] / 100,
        rate=line["cps_closed"],
        closed=whole["socket_close"],
    )


def floor(line):
    """A side of the program that only moves frames."""
    if not line["cycles_per_conn"] > 0:
        raise Wrong(f"the {line['role']} moved no frames")
    return Side(line["cycles_per_conn"], line["pkts_per_conn"], 0, line["cpu"] / 100, line["cps_closed"], 0)


def stolen(before, after, seconds):
    """The largest share of its time that any core lost to other machines. Counts are hundredths of a second."""
    return max((after[core][7] - before[core][7]) / 100 / seconds for core in before)


class Machine(NamedTuple):
    """What the machine did to a run."""

    stolen: float  # share of the time of the worse core that other machines had
    beside: float  # share of the busier core's time that other programs had just before


def beside(before, after):
    """The share of the busier core's time that was neither idle nor stolen, from two looks at the lines of /proc/stat:
    user, nice, system, idle, waiting, interrupts, software interrupts, stolen."""
    shares = [0.0]
    for core, earlier in before.items():
        spent = [late - early for late, early in zip(after[core], earlier, strict=True)]
        if sum(spent) > 0:
            shares.append(1 - (spent[3] + spent[4] + spent[7]) / sum(spent))
    return max(shares)


def share_sent_again(sides):
    """Segments that both sides sent again, for each connection."""
    closed = max(side.closed for side in sides)
    if closed == 0:
        raise Wrong("no connection was closed")
    return sum(side.retransmitted for side in sides) / closed


class Ratio(NamedTuple):
    """Our side's cycles in terms of the peer's own side."""

    median: float
    low: float
    high: float
    count: int

    def holds(self, at_most=0.9):
        """The target: the median is at most that, and the interval ends below 1."""
        return self.median <= at_most and self.high < 1


def compare(ours_cycles, own_cycles, seed):
    """The ratio over all triples; nothing where there are none."""
    values = ratios(ours_cycles, own_cycles)
    if not values:
        return None
    return Ratio(statistics.median(values), *bootstrap(values, seed), len(values))


class Repeats:
    """How many runs may still be thrown away and made again."""

    def __init__(self, most):
        self.left = most
        self.thrown = []

    def keep(self, share_stolen, most):
        """Whether a run counts; one that does not takes from what is left."""
        if share_stolen <= most:
            return True
        self.throw(f"{share_stolen:.1%} of its time was stolen")
        return False

    def throw(self, why):
        """A run does not count, for this reason."""
        self.thrown.append(why)
        self.left -= 1


def in_turn(kinds, number):
    """The order of the runs of a triple: each kind is first equally often, so that a machine that becomes slower or
    faster does so for all."""
    at = number % len(kinds)
    return kinds[at:] + kinds[:at]


class Change(NamedTuple):
    """A count of instructions beside that of the baseline."""

    name: str
    before: int | None
    now: int | None

    def share(self):
        """What it grew by; nothing where either is missing."""
        if self.before is None or self.now is None:
            return None
        return (self.now - self.before) / self.before if self.before else float(self.now > 0)

    def word(self, allowed):
        """What to call it."""
        share = self.share()
        if share is None:
            return "new" if self.before is None else "gone"
        if share > allowed:
            return "WORSE"
        return "better" if share < -allowed else ""


def changes(before, now):
    """All counts of both, in the order of the new ones, and behind them those that are gone."""
    names = list(now) + [name for name in before if name not in now]
    return [Change(name, before.get(name), now.get(name)) for name in names]


def spoils(change, allowed):
    """Whether it fails the comparison: it got worse, or is measured no more."""
    return change.word(allowed) in ("WORSE", "gone")
