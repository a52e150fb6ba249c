"""The charts of scripts/curves and the tables of scripts/budget: python3 -B -m unittest discover tests/scripts."""

import argparse
import collections
import importlib.machinery
import importlib.util
import pathlib
import sys
import unittest
from xml.etree import ElementTree

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import pictures  # noqa: E402
import stages  # noqa: E402
import sweep  # noqa: E402
from pictures import Axes, Line  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def curves():
    """scripts/curves, which has no ending that Python knows."""
    loader = importlib.machinery.SourceFileLoader("curves", str(SCRIPTS / "curves"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("curves", loader))
    loader.exec_module(module)
    return module


def row(concurrency, side, cycles):
    return dict.fromkeys(sweep.FIELDS, 1.0) | {"concurrency": concurrency, "side": side, "cycles": cycles}


def words(tree):
    return [text.text for text in tree.iter(f"{SVG}text")]


class Axis(unittest.TestCase):
    def test_numbers_are_written_shortly(self):
        self.assertEqual([pictures.short(n) for n in (0, 64, 2_500, 10_000, 1.5e6)], ["0", "64", "2.5k", "10k", "1.5M"])

    def test_steps_are_round_and_reach_the_greatest_value(self):
        self.assertEqual(pictures.steps(5_479), [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000])
        self.assertEqual(pictures.steps(0), [0, 1])
        for most in (0.7, 1, 99, 100, 101, 473_868, 5e6):
            steps = pictures.steps(most)
            self.assertTrue(steps[-2] < most <= steps[-1] and 3 <= len(steps) <= 8, (most, steps))

    def test_decades_hold_all_values(self):
        self.assertEqual(pictures.decades(64, 1_000_000), [10, 100, 1_000, 10_000, 100_000, 1_000_000])
        self.assertEqual(pictures.decades(1_000, 1_000), [1_000, 10_000])


class Charts(unittest.TestCase):
    axes = Axes("a title", "open <at a time>", "cycles & more")

    def test_points_stand_where_their_values_are(self):
        lines = [Line("client", [(10, 0.0), (100, 50.0), (1_000, 100.0)]), Line("server", [(10, 100.0)])]
        tree = ElementTree.fromstring(pictures.curves(self.axes, lines))
        first, second = (
            [tuple(map(float, point.split(","))) for point in path.get("points").split()]
            for path in tree.iter(f"{SVG}polyline")
        )
        left, right = pictures.LEFT, pictures.WIDTH - pictures.RIGHT
        top, bottom = pictures.TOP, pictures.HEIGHT - pictures.BOTTOM
        self.assertEqual(first, [(left, bottom), ((left + right) / 2, (top + bottom) / 2), (right, top)])
        self.assertEqual(second, [(left, top)])
        self.assertTrue({"client", "server", "a title", "open <at a time>", "cycles & more"} <= set(words(tree)))
        self.assertTrue({"10", "100", "1k", "0"} <= set(words(tree)))

    def test_columns_stand_upon_each_other_within_the_plane(self):
        lines = [Line("rx", [(64, 10.0), (1_000, 20.0)]), Line("tx", [(64, 30.0), (1_000, 40.0)])]
        tree = ElementTree.fromstring(pictures.stacks(self.axes, lines))
        columns = [rect for rect in tree.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
        places = [[float(rect.get(name)) for name in ("x", "y", "width", "height")] for rect in columns]
        self.assertEqual([rect.find(f"{SVG}title").text for rect in columns], ["rx: 10", "tx: 30", "rx: 20", "tx: 40"])
        for below, above in (places[:2], places[2:]):
            self.assertEqual(below[0], above[0])
            self.assertAlmostEqual(above[1] + above[3], below[1], delta=0.11)
        self.assertAlmostEqual(places[1][3], 3 * places[0][3], delta=0.3)
        for x, y, width, height in places:
            self.assertTrue(pictures.LEFT < x and x + width < pictures.WIDTH - pictures.RIGHT)
            self.assertTrue(pictures.TOP <= y and y + height <= pictures.HEIGHT - pictures.BOTTOM + 0.1)
        self.assertTrue({"64", "1k"} <= set(words(tree)))

    def test_a_chart_is_for_light_and_dark(self):
        chart = pictures.curves(self.axes, [Line("a", [(1, 1)])])
        self.assertIn("prefers-color-scheme: dark", chart)
        ground = next(ElementTree.fromstring(chart).iter(f"{SVG}rect"))
        self.assertEqual((ground.get("class"), ground.get("width")), ("ground", str(pictures.WIDTH)))

    def test_all_pictures_are_drawn_from_the_rows(self):
        table = [
            row(64, "client", 2_000.0),
            row(64, "server", 1_500.0),
            row(1e6, "client", 5e3),
            row(1e6, "server", 4e3),
        ]
        drawn = curves().draw(table)
        self.assertEqual(sorted(drawn), ["cycles.svg", "rate.svg", "stages.svg"])
        trees = {name: ElementTree.fromstring(text) for name, text in drawn.items()}
        titles = [mark.find(f"{SVG}title").text for mark in trees["cycles.svg"].iter(f"{SVG}circle")]
        self.assertEqual(titles, ["3,500", "9,000", "2,000", "5,000", "1,500", "4,000", "2", "2"])
        self.assertTrue(set(sweep.STAGES) <= set(words(trees["stages.svg"])))


class Runs(unittest.TestCase):
    def test_counts_are_read_as_the_program_writes_them(self):
        self.assertEqual([sweep.count(text) for text in ("64", "10k", "10M")], [64, 10_000, 10_000_000])
        for wrong in ("", "k", "0", "-1", "1.5k", "1G"):
            with self.assertRaises(argparse.ArgumentTypeError):
                sweep.count(wrong)

    def test_figures_are_doubted_where_others_ran(self):
        self.assertEqual((sweep.doubt([]), sweep.doubt([0.01, 0.05])), ("", ""))
        self.assertIn("40%", sweep.doubt([0.01, 0.4]))

    def test_a_row_is_the_median_of_the_repeats(self):
        def side(cycles):
            numbers = ("connections_per_second", "floor_cycles_per_connection", "packets_per_connection")
            stages_of = dict.fromkeys(sweep.STAGES, cycles / 10)
            return dict.fromkeys(numbers, 6.0) | {"cycles_per_connection": cycles, "stages": stages_of}

        runs = [{"client": side(cycles), "server": side(2 * cycles)} for cycles in (900.0, 100.0, 200.0)]
        client, server = sweep.rows({"runs": runs}, 64)
        self.assertEqual((client["cycles"], server["cycles"], server["pay"]), (200.0, 400.0, 40.0))
        self.assertEqual((client["side"], server["side"], client["concurrency"]), ("client", "server", 64))
        self.assertEqual(set(client), set(sweep.FIELDS))


CALLGRIND = """positions: line
events: Ir
fl=(1) /somewhere/src/tcp/tcb/quick/arrives.rs
fn=(1) dpdk_tcp::tcp::tcb::quick::arrives::segment_arrives
12 100
fi=(2) /rustc/1/library/core/src/option.rs
+3 7
fi=(3) /somewhere/src/base/slab.rs
9 5
cfi=(4) /somewhere/src/wire/checksum.rs
cfn=(2) dpdk_tcp::wire::checksum::Sum::of
calls=3 40
* 900
fe=(1)
14 1
fl=(4)
fn=(2)
40 30
fi=(2)
41 2
fn=(1)'2
""".replace("fn=(1)'2\n", "")


class Budget(unittest.TestCase):
    def test_lines_of_the_library_belong_to_whoever_uses_them(self):
        counts = stages.read(CALLGRIND.splitlines(keepends=True))
        arrives = ("dpdk_tcp::tcp::tcb::quick::arrives::segment_arrives", "tcp/tcb/quick/arrives")
        self.assertEqual(counts[arrives], 113)
        self.assertEqual(counts["dpdk_tcp::wire::checksum::Sum::of", "wire/checksum"], 32)
        self.assertEqual(sum(counts.values()), 145)

    def test_every_part_has_its_stage(self):
        for function, part, stage in (
            ("dpdk_tcp::engine::emit::segment", "wire/tcp", "frames built"),
            ("dpdk_tcp::engine::emit::segment", "wire/checksum", "checksums"),
            ("dpdk_tcp::tcp::isn::hashed", "base/hash", "clock offsets and ISNs"),
            ("dpdk_tcp::flow::key::Key::hash", "base/hash", "hashes of endpoints"),
            ("usual_run", "wire/usual", "headers read"),
            ("usual_run", "engine/usual", "the shard around it"),
            ("turn", "engine/worker", "the loop"),
            ("memcpy", "", stages.REST),
        ):
            self.assertEqual(stages.stage_of(function, part), stage, (function, part))

    def test_what_both_runs_do_once_does_not_count(self):
        few = collections.Counter({("f", "flow/table"): 1_000, ("std::sync::once::Once::call", ""): 5})
        many = collections.Counter(
            {("f", "flow/table"): 1_600, ("g", "app/client"): 60, ("std::sync::once::Once::call", ""): 9}
        )
        self.assertEqual(stages.a_connection(few, many, 6), {"index": 100.0, "application and texts": 10.0})

    def test_cycles_are_shared_out_by_instructions(self):
        rows = stages.table({"index": 300.0, stages.REST: 100.0}, 80).splitlines()
        self.assertEqual(len(rows), 2 + len(stages.STAGES) + 2)
        self.assertTrue(next(row for row in rows if row.startswith("| index ")).endswith("| 300 | 60 |"))
        self.assertTrue(rows[-1].startswith("| all ") and rows[-1].endswith("| 400 | 80 |"))

    def test_what_waits_for_memory_is_the_difference(self):
        few, many = (
            [{"rx": 1.0, "pay": 10.0}, {"rx": 2.0, "pay": 20.0}],
            [{"rx": 3.0, "pay": 50.0}, {"rx": 2.0, "pay": 70.0}],
        )
        rows = stages.laps((64, few), (1_000_000, many), ("rx", "pay")).splitlines()
        self.assertIn("client, 1,000,000", rows[0])
        self.assertEqual(
            rows[2:],
            ["| rx | 1 | 2 | 3 | 2 | 2 |", "| pay | 10 | 20 | 50 | 70 | 90 |", "| all | 11 | 22 | 53 | 72 | 92 |"],
        )

    def test_tables_take_the_place_of_the_old_ones(self):
        text = f"before\n{stages.BEGIN}old\n{stages.END}behind\n"
        self.assertEqual(stages.put(text, "new"), f"before\n{stages.BEGIN}new\n{stages.END}behind\n")
        self.assertIsNone(stages.put("no place\n", "new"))
        self.assertIsNone(stages.put(stages.BEGIN, "new"))


if __name__ == "__main__":
    unittest.main()
