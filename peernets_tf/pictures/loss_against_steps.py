"""The loss that attacks reach, against their numbers of steps."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from peernets_tf.pictures import attack_kinds
from peernets_tf.pictures.attack_kinds import Attacked
from peernets_tf.pictures.lines import (
    WIDTH,
    Line,
    Point,
    draw_lines,
    merge,
    model_key,
)
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import AttackCase, AttackRecord, tables

_HEIGHT = 4.2
# The height of a line's name, as a share of the y axis.
_GAP = 0.07


def loss_against_steps(records: Sequence[AttackRecord]) -> list[Picture]:
    """Returns a picture for each data set that has losses for several steps."""
    found = []
    for dataset, cases in attack_kinds.on_single_images(records).items():
        attacked = [
            (record, case)
            for record, case in cases
            if case.mean_loss is not None
            and case.epsilon
            and attack_kinds.num_steps(case)
        ]
        if lines := _lines(attacked):
            found.append(_picture(dataset, attacked, lines))
    return found


def _picture(
    dataset: str, attacked: Sequence[Attacked], lines: Sequence[Line]
) -> Picture:
    networks = attack_kinds.networks([record for record, _ in attacked])
    networks = {line.model: networks[line.model] for line in lines}
    name = attack_kinds.label(tables.dataset_name(dataset))
    steps = sorted({point.x for line in lines for point in line.points})
    highest = max(point.y for line in lines for point in line.points)

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, _HEIGHT))
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(steps))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(steps[0], steps[-1])
        axes.set_ylim(0, 1.05 * highest)
        axes.set_xlabel("steps of the attack (log)")
        axes.set_ylabel("mean cross-entropy")
        draw_lines(axes, lines, theme, gap=_GAP * highest)
        model_key(axes, list(networks.items()), theme)
        return figure

    totals = [case.total for _, case in attacked]
    return Picture(
        name=f"loss_against_steps_{attack_kinds.file_name(dataset)}",
        title=f"Loss against steps on {name}",
        caption=(
            "Mean cross-entropy on the adversarial images, by the steps of "
            f"the attack. {name}, {attack_kinds.images(totals)}. A loss that "
            "stays low while another backward pass raises it shows that the "
            "gradient is masked, not that the network is robust."
            f"{attack_kinds.graphs(record for record, _ in attacked)}"
        ),
        alt="Mean cross-entropy against steps. "
        + " ".join(
            f"{networks[line.model]}, {line.label}: {line.points[0].y:.3g} "
            f"after {line.points[0].x:g}, {line.points[-1].y:.3g} after "
            f"{line.points[-1].x:g}."
            for line in lines
        ),
        draw=draw,
    )


def _lines(attacked: Sequence[Attacked]) -> list[Line]:
    """Returns a line for each network, kind and epsilon of several steps."""
    suffixes = attack_kinds.line_labels([record for record, _ in attacked])
    points = merge(
        [
            (
                (*attack_kinds.line_of(record), _radius(case)),
                Point.bare(
                    attack_kinds.num_steps(case) or 0, case.mean_loss or 0
                ),
            )
            for record, case in attacked
        ],
        lowest=False,
    )
    return [
        Line(
            label=f"{attack_kinds.KIND_NAMES[kind]}, {radius}"
            + suffixes[weights],
            model=model,
            kind=kind,
            points=line,
        )
        for (model, weights, kind, radius), line in points.items()
        if len(line) > 1
    ]


def _radius(case: AttackCase) -> str:
    epsilon = case.epsilon or 0
    if case.norm == "linf":
        return f"{255 * epsilon:.3g}/255"
    return f"L2 {epsilon:.3g}"
