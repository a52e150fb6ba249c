"""The arithmetic of scripts/bench and scripts/instructions: python3 -B -m unittest discover tests/scripts."""

import pathlib
import random
import statistics
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

import figures  # noqa: E402
import peer  # noqa: E402


def second(closed, busy=0.5, length=1.0):
    return {"closed": closed, "server_busy": busy, "len_s": length, "connections_per_second": closed / length}


def document(series):
    side = {"packets_per_connection": 6.0, "retransmitted": 3, "account": {"closed": {"finished": 90, "reset": 10}}}
    return {"machine": {"tsc_hz": 2_000_000}, "runs": [{"series": series, "server": side}]}


def side(**fields):
    return figures.Side(**{**dict(cycles=1.0, packets=6.0, retransmitted=0, busy=0.5, rate=1.0, closed=1), **fields})


class Intervals(unittest.TestCase):
    def test_values_that_are_equal_leave_no_doubt(self):
        self.assertEqual(figures.bootstrap([0.9] * 15, 1), (0.9, 0.9))

    def test_the_same_seed_gives_the_same_interval_around_the_median(self):
        chance = random.Random(4)
        values = [chance.gauss(0.9, 0.05) for _ in range(15)]
        low, high = figures.bootstrap(values, 7)
        self.assertEqual(figures.bootstrap(values, 7), (low, high))
        self.assertTrue(min(values) <= low < statistics.median(values) < high <= max(values))

    def test_an_interval_covers_the_truth_about_as_often_as_it_says(self):
        chance, covered = random.Random(5), 0
        for n in range(200):
            low, high = figures.bootstrap([chance.gauss(1, 0.1) for _ in range(15)], n, draws=400)
            covered += low <= 1 <= high
        self.assertTrue(175 <= covered <= 199, covered)

    def test_quantiles_lie_on_lines_between_the_values(self):
        values = [10, 20, 40]
        self.assertEqual([figures.quantile(values, at) for at in (0, 0.25, 0.5, 0.75, 1)], [10, 15, 20, 30, 40])


class Ratios(unittest.TestCase):
    def test_runs_are_compared_with_those_of_their_own_triple(self):
        self.assertEqual(figures.ratios({0: 9, 1: 40, 3: 1}, {0: 10, 1: 50, 2: 7}), [0.9, 0.8])
        ratio = figures.compare({0: 80, 1: 90, 2: 170}, {0: 100, 1: 100, 2: 200}, 1)
        self.assertEqual((ratio.median, ratio.count), (0.85, 3))
        self.assertIsNone(figures.compare({0: 1}, {1: 1}, 1))

    def test_the_target_wants_the_median_and_the_interval(self):
        self.assertTrue(figures.Ratio(0.9, 0.8, 0.99, 15).holds())
        self.assertFalse(figures.Ratio(0.91, 0.8, 0.95, 15).holds())
        self.assertFalse(figures.Ratio(0.85, 0.7, 1.0, 15).holds())


class Runs(unittest.TestCase):
    def test_whole_seconds_at_the_full_rate_are_taken(self):
        self.assertEqual(figures.steady([0, 0, 40, 100, 99, 70, 100, 30, 0]), [3, 4, 6])
        self.assertEqual(figures.steady([0, 10, 10, 0]), [])
        self.assertEqual(figures.steady([]), [])

    def test_a_side_of_ours_is_the_median_of_its_seconds(self):
        series = [
            second(0, 0.0),
            second(50, 0.9),
            second(100, 0.4),
            second(110, 0.55, 1.1),
            second(100, 0.6),
            second(20),
        ]
        ours = figures.ours(document(series), "server")
        self.assertEqual((round(ours.cycles), ours.packets, ours.retransmitted, ours.closed), (11_000, 6.0, 3, 100))
        self.assertEqual((ours.busy, round(ours.rate)), (0.55, 100))
        with self.assertRaises(figures.Wrong):
            figures.ours(document([second(5)]), "server")

    def test_seconds_with_all_connections_open_are_taken(self):
        series = [
            {**second(0, 0.1), "open": 500},
            {**second(20, 0.9), "open": 960},
            {**second(100, 0.4), "open": 1000},
            {**second(50, 0.3), "open": 1000},
            {**second(80, 0.5), "open": 990},
            {**second(300, 0.9), "open": 600},
        ]
        held = figures.held(document(series), "server", 1_000)
        self.assertEqual((round(held.cycles), held.busy, held.rate, held.closed), (10_000, 0.35, 75, 150))
        with self.assertRaises(figures.Wrong):
            figures.held(document(series[:3]), "server", 1_000)

    def test_a_side_of_the_peer_is_read_from_its_line(self):
        whole = {"syn_rt": 1, "fin_rt": 2, "ack_rt": 3, "push_rt": 4, "socket_close": 1_000}
        line = {
            "role": "server",
            "cycles_per_conn": 1_100.0,
            "pkts_per_conn": 6.0,
            "cpu": 74.0,
            "cps_closed": 999,
            "whole_run": whole,
        }
        self.assertEqual(figures.theirs(line), figures.Side(1_100.0, 6.0, 10, 0.74, 999, 1_000))
        with self.assertRaisesRegex(figures.Wrong, "no steady seconds"):
            figures.theirs({"role": "server", "error": "no steady seconds"})

    def test_what_was_sent_again_is_a_share_of_the_connections(self):
        self.assertEqual(
            figures.share_sent_again([side(retransmitted=3, closed=900), side(retransmitted=1, closed=1_000)]), 0.004
        )
        with self.assertRaises(figures.Wrong):
            figures.share_sent_again([side(closed=0)])

    def test_the_worse_core_says_what_was_stolen(self):
        before, after = {0: [0] * 7 + [10], 1: [0] * 7 + [10]}, {0: [9] * 7 + [15], 1: [9] * 7 + [30]}
        self.assertEqual(figures.stolen(before, after, 10), 0.02)

    def test_what_others_do_is_neither_idle_nor_stolen(self):
        before = {0: [0] * 8, 1: [100] * 8}
        after = {0: [10, 0, 5, 70, 5, 0, 0, 10], 1: [100, 100, 100, 130, 100, 100, 100, 100]}
        self.assertAlmostEqual(figures.beside(before, after), 0.15)
        self.assertEqual(figures.beside(before, before), 0)

    def test_runs_are_thrown_away_until_none_is_left(self):
        repeats = figures.Repeats(1)
        self.assertTrue(repeats.keep(0.01, 0.01))
        self.assertFalse(repeats.keep(0.011, 0.01))
        self.assertEqual((repeats.left, repeats.thrown), (0, ["1.1% of its time was stolen"]))
        repeats.throw("it ended")
        self.assertEqual((repeats.left, len(repeats.thrown)), (-1, 2))

    def test_each_kind_comes_first_equally_often(self):
        kinds = ("a", "b", "c")
        orders = [figures.in_turn(kinds, n) for n in range(6)]
        self.assertEqual([order[0] for order in orders], ["a", "b", "c"] * 2)
        self.assertTrue(all(sorted(order) == ["a", "b", "c"] for order in orders))


class Plans(unittest.TestCase):
    def test_sources_are_enough_for_the_rate(self):
        for rate in (1, 50_000, 1_000_000, 2_000_000, 7_000_000):
            words, known = peer.source(rate)
            self.assertGreaterEqual(known, peer.clients(rate))
            self.assertLessEqual(known, 254)
            self.assertTrue(words.startswith("198.18.1.0/") and words.endswith(":1-65535"), words)
        with self.assertRaisesRegex(peer.Fail, "254 addresses"):
            peer.source(8_000_000)

    def test_pages_grow_with_the_rate(self):
        self.assertLess(peer.pages_needed(50_000), peer.pages_needed(1_000_000))
        self.assertLess(peer.pages_needed(2_000_000), 1_100)


class Instructions(unittest.TestCase):
    def test_what_got_worse_or_is_gone_fails_the_comparison(self):
        found = figures.changes(
            {"a": 1_000, "b": 1_000, "c": 1_000, "d": 5}, {"a": 1_020, "b": 1_021, "c": 979, "e": 1}
        )
        words = {change.name: change.word(0.02) for change in found}
        self.assertEqual(words, {"a": "", "b": "WORSE", "c": "better", "e": "new", "d": "gone"})
        self.assertEqual([change.name for change in found if figures.spoils(change, 0.02)], ["b", "d"])

    def test_a_count_of_nothing_is_not_divided_by(self):
        self.assertEqual(figures.Change("a", 0, 0).word(0.02), "")
        self.assertEqual(figures.Change("a", 0, 3).word(0.02), "WORSE")


if __name__ == "__main__":
    unittest.main()
