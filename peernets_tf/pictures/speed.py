"""Ratios of benchmarks as bars that start at the baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from peernets_tf.pictures import labels
from peernets_tf.pictures.lines import WIDTH, drawn, text_box
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import BenchmarkRecord, network_name

_ROW_HEIGHT = 0.3
# Settings of a case that a title names, at most.
_MAX_SETTINGS = 4
_ROUNDS = ("rounds", "warm_up_rounds")


def speed_pictures(records: Sequence[BenchmarkRecord]) -> list[Picture]:
    """Returns a picture for each benchmark, a panel for each of its cases."""
    return [
        _picture(record, cases)
        for record in records
        if (cases := [case for case in record.cases if _baseline(case)])
    ]


def _picture(
    record: BenchmarkRecord, cases: Sequence[Mapping[str, Any]]
) -> Picture:
    name = labels.short(record.name).replace("_", " ")

    def draw(theme: Theme) -> Figure:
        sizes = [len(_ratios(case)) for case in cases]
        height = _ROW_HEIGHT * sum(sizes) + 0.5 * len(sizes) + 0.6
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(
            len(cases),
            sharex=True,
            squeeze=False,
            gridspec_kw={"height_ratios": sizes},
        )
        for axes, case in zip(grid[:, 0], cases, strict=True):
            _draw_case(axes, case, theme)
        _scale(
            grid[-1, 0], [r for case in cases for r in _ratios(case).values()]
        )
        return figure

    return Picture(
        name=f"speed_{labels.file_name(record.name)}",
        title=f"Speed: {name}",
        caption=(
            "Median time over that of the baseline, where the bars start; to "
            f"the left is faster. Up to {record.rounds} rounds after "
            f"{record.warm_up_rounds} to warm up. "
            f"{labels.short(record.provenance.device, length=200)}."
        ),
        alt="Times relative to a baseline. "
        + " ".join(
            f"{_title(case)}: "
            + ", ".join(
                f"{_row_name(name)} {_text(case, name)}"
                for name in _ratios(case)
            )
            + "."
            for case in cases
        ),
        draw=draw,
    )


def _draw_case(axes: Axes, case: Mapping[str, Any], theme: Theme) -> None:
    ratios = _ratios(case)
    for y, (name, ratio) in enumerate(ratios.items()):
        axes.barh(y, ratio - 1, left=1, height=0.62, color=theme.color(name))
        axes.annotate(
            _text(case, name),
            (max(ratio, 1), y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox=text_box(theme),
        )
    axes.axvline(1, color=theme.text, linewidth=1)
    names = [drawn(_row_name(name)) for name in ratios]
    axes.set_yticks(range(len(ratios)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(ratios) - 0.5, -0.5)
    axes.set_title(drawn(_title(case)), fontsize=10)


def _scale(axes: Axes, ratios: Sequence[float]) -> None:
    """Sets the x axis of all panels, with room for the texts beside bars."""
    low, high = min(*ratios, 1), max(*ratios, 1)
    span = max(high / low, 2)
    axes.set_xscale("log")
    axes.set_xlim(low / span**0.05, high * span**0.3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("time relative to the baseline (log)")


def _baseline(case: Mapping[str, Any]) -> str | None:
    """Returns what the others are compared with; None without usable times."""
    medians = case.get("median_seconds", {})
    if len(medians) < 2 or not all(medians.values()):
        return None
    for name, ratio in _recorded_ratios(case).items():
        if ratio == 1 and name in medians:
            return str(name)
    return str(next(iter(medians)))


def _recorded_ratios(case: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a case's first ratios, such as `ratio_to_ours`, if it has any."""
    for key, ratios in case.items():
        if key.startswith("ratio_to_") and isinstance(ratios, dict):
            return ratios
    return {}


def _ratios(case: Mapping[str, Any]) -> dict[str, float]:
    """Returns times over the baseline's, the shortest first.

    They are those that the benchmark recorded, medians of ratios in each round,
    or else ratios of the medians.
    """
    medians = case["median_seconds"]
    recorded = _recorded_ratios(case)
    baseline = medians[_baseline(case)]
    found = {}
    for name, seconds in medians.items():
        ratio = recorded.get(name)
        if not isinstance(ratio, int | float) or ratio <= 0:
            ratio = seconds / baseline
        found[name] = float(ratio)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _text(case: Mapping[str, Any], name: str) -> str:
    """Returns what stands beside a bar: the ratio and the median time."""
    duration = _duration(case["median_seconds"][name])
    if name == _baseline(case):
        return f"baseline, {duration}"
    return f"{_ratios(case)[name]:.3g} ×, {duration}"


def _row_name(name: str) -> str:
    return labels.short(network_name(name).replace("_", " "))


def _title(case: Mapping[str, Any]) -> str:
    """Returns the first settings of a case, without what rows are called."""
    settings = [
        _setting(key, value)
        for key, value in case.items()
        if isinstance(value, str | int | float)
        and key not in _ROUNDS
        and value not in case["median_seconds"]
    ]
    return labels.short(", ".join(settings[:_MAX_SETTINGS]), length=70)


def _setting(key: str, value: str | int | float) -> str:
    """Returns a setting as words; a phrase needs no key before it."""
    text = network_name(str(value))
    if " " in str(value):
        return text
    return f"{key.removeprefix('num_').replace('_', ' ')} {text}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
