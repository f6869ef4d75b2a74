"""The loss that attacks reach, against their numbers of steps."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from peernets_tf.pictures import attack_kinds, labels
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
from peernets_tf.records import AttackRecord, radius_text

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
            if attack_kinds.is_sweep_of_steps(record)
            and case.mean_loss is not None
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
    drawn_models = {line.model for line in lines}
    networks = {m: name for m, name in networks.items() if m in drawn_models}
    name = labels.dataset(dataset)
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
        axes.set_ylabel("mean cross-entropy (nats)")
        draw_lines(axes, lines, theme, gap=_GAP * highest)
        model_key(figure, list(networks.items()), theme)
        return figure

    names = labels.listed(
        attack_kinds.attack_name(record) for record, _ in attacked
    )
    return Picture(
        name=f"loss_against_steps_{labels.file_name(dataset)}",
        title=f"Loss against steps on {name}",
        caption=(
            f"{attack_kinds.setting(attacked)}, attacked by {names} with each "
            "number of steps. A loss that stays low while another backward "
            "pass raises it shows that the gradient is masked, not that the "
            "network is robust."
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
                (*attack_kinds.line_of(record), case.norm, case.epsilon),
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
            label=f"{attack_kinds.KIND_NAMES[kind]}, "
            f"{radius_text(epsilon, norm)}{suffixes[weights]}",
            model=model,
            kind=kind,
            points=line,
        )
        for (model, weights, kind, norm, epsilon), line in points.items()
        if len(line) > 1
    ]
