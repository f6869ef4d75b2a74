"""Lines with intervals, each named at its end instead of in a legend."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from peernets_tf.pictures.style import LINE_STYLES, Theme
from peernets_tf.records import statistics

# The width of all charts, in inches: on a phone, which shows them at less
# than that, their texts stay readable.
WIDTH = 5.8
_LABEL_SIZE = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A figure of a line, with the bounds of its 95 % interval.

    Attributes:
        x: float.
        y: float.
        low: float, the lower bound; `y` if the interval is not known.
        high: float, the upper bound; `y` if the interval is not known.
    """

    x: float
    y: float
    low: float
    high: float

    @classmethod
    def counted(cls, x: float, count: int, total: int) -> Self:
        """Returns the rate of a count in percent, with its interval."""
        low, high = statistics.wilson_interval(count, total)
        y = 100 * count / total
        return cls(x=x, y=y, low=100 * low, high=100 * high)

    @classmethod
    def bare(cls, x: float, y: float) -> Self:
        """Returns a figure without an interval."""
        return cls(x=x, y=y, low=y, high=y)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """What is drawn as one line.

    Attributes:
        label: str, its name.
        model: str, the model whose colour it has.
        kind: str, the kind of attack whose line style it has.
        points: tuple of `Point`s, in the order of their x.
        is_published: bool, whether it shows the paper's figures: thin, with
            hollow markers.
    """

    label: str
    model: str
    kind: str
    points: tuple[Point, ...]
    is_published: bool = False


def merge(
    points: Sequence[tuple[Any, Point]], *, lowest: bool
) -> dict[Any, tuple[Point, ...]]:
    """Returns points by key, one for each x: the lowest or the highest.

    Args:
        points: sequence of (key, `Point`).
        lowest: bool, whether the lowest y is kept.
    """
    sign = 1 if lowest else -1
    kept: dict[Any, dict[float, Point]] = {}
    for key, point in points:
        line = kept.setdefault(key, {})
        old = line.get(point.x)
        if old is None or sign * point.y < sign * old.y:
            line[point.x] = point
    return {
        key: tuple(line[x] for x in sorted(line)) for key, line in kept.items()
    }


def from_zero(
    lines: Mapping[Any, tuple[Point, ...]], zero: Callable[[Any], Point]
) -> dict[Any, tuple[Point, ...]]:
    """Returns lines that begin at x = 0.

    Beside lines of several measurements a single one stays a marker: a line to
    it would look as if there were measurements on the way.

    Args:
        lines: mapping from keys to tuples of `Point`s.
        zero: function from a key to the `Point` at x = 0.
    """
    is_sweep = any(len(points) > 1 for points in lines.values())
    return {
        key: points if is_sweep and len(points) == 1 else (zero(key), *points)
        for key, points in lines.items()
    }


def draw_lines(
    axes: Axes, lines: Sequence[Line], theme: Theme, *, gap: float
) -> None:
    """Draws lines, their intervals and their names.

    Args:
        axes: the `Axes`, with its limits set.
        lines: sequence of `Line`s.
        theme: the `Theme`.
        gap: float, the height of a name in units of the y axis.
    """
    for line in lines:
        style = LINE_STYLES[line.kind]
        color = theme.color(line.model)
        points = line.points
        axes.errorbar(
            [point.x for point in points],
            [point.y for point in points],
            yerr=(
                [point.y - point.low for point in points],
                [point.high - point.y for point in points],
            ),
            color=color,
            ecolor=to_rgba(color, 0.5),
            linestyle=style.dashes,
            linewidth=1 if line.is_published else 2,
            marker=style.marker,
            markerfacecolor=theme.background if line.is_published else color,
            markersize=5,
            elinewidth=1.5,
            clip_on=False,
            # Lines with hollow markers lie below the others.
            zorder=2.1 if line.is_published else 2.5,
        )
    _name_lines(axes, lines, theme, gap)


def drawn(text: str) -> str:
    """Returns text as matplotlib takes it, with dollar signs as they are.

    It would read what stands between two of them as a formula.
    """
    return text.replace("$", r"\$")


def text_box(theme: Theme) -> dict[str, Any]:
    """Returns what keeps grid lines from crossing a text, for `annotate`."""
    return {"facecolor": theme.background, "linewidth": 0, "pad": 0.5}


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Returns positions at least a gap apart, as near the old as possible.

    Neighbours that would overlap form a block around their mean.

    Args:
        positions: sequence of floats, in ascending order.
        gap: float, the smallest distance.
    """
    # Without the gaps, the nearest ascending sequence is asked for: each block
    # that descends is replaced by its mean.
    blocks: list[list[float]] = []
    for i, position in enumerate(positions):
        blocks.append([position - i * gap])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    flat = [_mean(block) for block in blocks for _ in block]
    return [position + i * gap for i, position in enumerate(flat)]


def model_key(
    figure: Figure, names: Sequence[tuple[str, str]], theme: Theme
) -> None:
    """Draws which colour stands for which model, above all axes.

    Args:
        figure: the `Figure`.
        names: sequence of (model, name).
        theme: the `Theme`.
    """
    handles = [
        Line2D([], [], color=theme.color(model), linewidth=6, label=drawn(name))
        for model, name in names
    ]
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=4,
        handlelength=1,
        columnspacing=1.2,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _name_lines(
    axes: Axes, lines: Sequence[Line], theme: Theme, gap: float
) -> None:
    """Writes each line's name to the right of the axes, at its last point.

    The name of a line that ends earlier stands above its last point, or below
    it if there is no room.
    """
    right = axes.get_xlim()[1]
    last = max(line.points[-1].x for line in lines)
    ends = []
    for line in sorted(lines, key=lambda line: line.points[-1].y):
        end = line.points[-1]
        if end.x > last - 0.2 * (right - axes.get_xlim()[0]):
            ends.append(line)
        else:
            is_below = _belongs_below(line, lines, axes.get_ylim(), gap)
            axes.annotate(
                drawn(line.label),
                xy=(end.x, end.y),
                xytext=(0, -8 if is_below else 8),
                textcoords="offset points",
                color=theme.ink(line.model),
                fontsize=_LABEL_SIZE,
                # Below it, its own line may come from the left.
                ha="left" if is_below else "center",
                va="top" if is_below else "bottom",
            )
    heights = spread([line.points[-1].y for line in ends], gap)
    bottom, top = axes.get_ylim()
    # A block of names may have grown out of the axes.
    shift = max(0, bottom - heights[0]) - max(0, heights[-1] - top)
    for line, height in zip(ends, heights, strict=True):
        end = line.points[-1]
        axes.annotate(
            drawn(line.label),
            xy=(end.x, end.y),
            xytext=(1.05, height + shift),
            textcoords=axes.get_yaxis_transform(),
            color=theme.ink(line.model),
            fontsize=_LABEL_SIZE,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": theme.color(line.model),
                "linewidth": 0.7,
                "alpha": 0.6,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 4,
            },
        )


def _belongs_below(
    line: Line, lines: Sequence[Line], limits: tuple[float, float], gap: float
) -> bool:
    """Whether there is more room below the end of a line than above it."""
    bottom, top = limits
    end = line.points[-1]
    if end.y + gap > top or end.y - gap < bottom:
        return end.y + gap > top
    others = [
        np.interp(end.x, [p.x for p in each.points], [p.y for p in each.points])
        for each in lines
        if each is not line and each.points[0].x <= end.x <= each.points[-1].x
    ]
    return any(end.y < y < end.y + 2 * gap for y in others)
