"""Charts as SVG, drawn by hand: pure, to be tested without anything that runs. A chart brings its own ground, light or
dark as whoever looks at it prefers."""

import math
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 84, 190, 48, 64
# Okabe and Ito's colours: told apart by most who see few of them, and on either ground.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#999999")
STYLE = """<style>
.ground { fill: #ffffff } text { fill: #24292f; font: 13px sans-serif } .title { font-size: 15px; font-weight: bold }
.grid { stroke: #d0d7de; stroke-width: 1 } .axis { stroke: #57606a; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
}
</style>"""


class Line(NamedTuple):
    """One curve: points in the order of x."""

    name: str
    points: list  # of (x, y)


class Axes(NamedTuple):
    """What a chart is about."""

    title: str
    x: str  # with its unit
    y: str  # with its unit


def short(value):
    """A number as people write it on an axis: 10k, 1.5M."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def steps(most, wanted=6):
    """Round values from 0 up to the first that is not below the greatest."""
    if most <= 0:
        return [0, 1]
    rough = most / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * n for n in range(math.ceil(most / step - 1e-9) + 1)]


def decades(least, most):
    """Powers of ten from the last that is not above the least value to the first that is not below the greatest."""
    low, high = math.floor(math.log10(least) + 1e-9), math.ceil(math.log10(most) - 1e-9)
    return [10**power for power in range(low, max(high, low + 1) + 1)]


class Plane:
    """Where values are on the picture: x by its logarithm, y from 0."""

    def __init__(self, xs, most):
        self.x_marks, self.y_marks = decades(min(xs), max(xs)), steps(most)

    def x(self, value):
        low, high = (math.log10(self.x_marks[at]) for at in (0, -1))
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.y_marks[-1] * (HEIGHT - TOP - BOTTOM)


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def rule(x1, y1, x2, y2, kind):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def frame(axes, plane, marks):
    """Ground, grid and words; `marks` are the values of x that are named."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>']
    parts.append(text(LEFT, 26, axes.title, "start", ' class="title"'))
    for value in plane.y_marks:
        parts.append(rule(LEFT, plane.y(value), right, plane.y(value), "grid"))
        parts.append(text(LEFT - 8, plane.y(value) + 4, short(value), "end"))
    for value in marks:
        parts.append(rule(plane.x(value), TOP, plane.x(value), bottom, "grid"))
        parts.append(text(plane.x(value), bottom + 20, short(value)))
    parts += [rule(LEFT, bottom, right, bottom, "axis"), rule(LEFT, TOP, LEFT, bottom, "axis")]
    middle = (TOP + bottom) / 2
    parts.append(text((LEFT + right) / 2, HEIGHT - 16, axes.x))
    parts.append(text(22, middle, axes.y, more=f' transform="rotate(-90 22 {middle:.1f})"'))
    return parts


def document(parts, title):
    """The whole file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img"><title>{escape(title)}</title>'
    )
    return "\n".join([head, STYLE, *parts, "</svg>", ""])


def legend(names):
    """What each colour means, from the top."""
    parts = []
    for at, name in enumerate(names):
        y = TOP + 12 + 22 * at
        parts.append(
            f'<rect x="{WIDTH - RIGHT + 16}" y="{y - 10}" width="12" height="12" fill="{COLOURS[at % len(COLOURS)]}"/>'
        )
        parts.append(text(WIDTH - RIGHT + 34, y, name, "start"))
    return parts


def curves(axes, lines):
    """Lines with a mark at each point; x is logarithmic, y begins at 0."""
    everything = [point for line in lines for point in line.points]
    plane = Plane([x for x, _ in everything], max(y for _, y in everything))
    parts = frame(axes, plane, plane.x_marks)
    for at, line in enumerate(lines):
        colour = COLOURS[at % len(COLOURS)]
        places = [(plane.x(x), plane.y(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, value) in zip(places, line.points, strict=True):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"><title>{value:,.0f}</title></circle>'
            )
    return document(parts + legend([line.name for line in lines]), axes.title)


def stacks(axes, lines):
    """What each line adds, one upon the other, a column for each x; all lines have the same ones."""
    xs = [x for x, _ in lines[0].points]
    plane = Plane(xs, max(sum(line.points[at][1] for line in lines) for at in range(len(xs))))
    # A column at the edge of the plane stands within it.
    plane.x_marks = [plane.x_marks[0] / 10**0.5, plane.x_marks[-1] * 10**0.5]
    parts = frame(axes, plane, xs)
    width = min(64.0, 0.7 * (WIDTH - LEFT - RIGHT) / (len(xs) + 1))
    for at, x in enumerate(xs):
        below = 0.0
        for number, line in enumerate(lines):
            value = line.points[at][1]
            top, bottom = plane.y(below + value), plane.y(below)
            parts.append(
                f'<rect x="{plane.x(x) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{bottom - top:.1f}" fill="{COLOURS[number % len(COLOURS)]}">'
                f"<title>{escape(line.name)}: {value:,.0f}</title></rect>"
            )
            below += value
    return document(parts + legend([line.name for line in lines]), axes.title)
