"""Figure 5 of the paper: sample-specific attacks, by their strength."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from peernets_tf.pictures import attack_kinds, labels
from peernets_tf.pictures.attack_kinds import Attacked
from peernets_tf.pictures.lines import (
    WIDTH,
    Line,
    Point,
    draw_lines,
    drawn,
    from_zero,
    merge,
    model_key,
)
from peernets_tf.pictures.radius_axis import radius_axis
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import AttackRecord

_PANEL_HEIGHT = 2.9
# The height of a line's name, in percent of fooling rate.
_GAP = 9.0


def figure_5(records: Sequence[AttackRecord]) -> list[Picture]:
    """Returns fooling rates against epsilon, one picture for each data set.

    A panel is an attack, its budget and a norm. Searches for the smallest
    epsilon have none; see `smallest_norms`.
    """
    found = []
    for dataset, cases in attack_kinds.on_single_images(records).items():
        attacked = [
            (record, case)
            for record, case in attack_kinds.of_fixed_strength(cases)
            if case.correct and attack_kinds.attack_kind(record) != "noise"
        ]
        if attacked:
            found.append(_picture(dataset, attacked))
    return found


def _picture(dataset: str, attacked: Sequence[Attacked]) -> Picture:
    groups: dict[tuple[str, str], list[Attacked]] = {}
    for record, case in attacked:
        key = (attack_kinds.with_budget(record, case), case.norm)
        groups.setdefault(key, []).append((record, case))
    panels = {key: _lines(group) for key, group in groups.items()}
    networks = attack_kinds.networks([record for record, _ in attacked])
    name = labels.dataset(dataset)

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, _PANEL_HEIGHT * len(panels) + 0.3))
        rows = figure.subplots(len(panels), squeeze=False)[:, 0]
        for axes, ((attack, norm), lines) in zip(
            rows, panels.items(), strict=True
        ):
            axes.set_title(drawn(attack))
            axes.set_ylim(0, 100)
            radii = [point.x for line in lines for point in line.points]
            radius_axis(axes, radii, norm)
            axes.set_ylabel("fooling rate (%)")
            draw_lines(axes, lines, theme, gap=_GAP)
        model_key(figure, list(networks.items()), theme)
        return figure

    return Picture(
        name=f"figure_5_{labels.file_name(dataset)}",
        title=f"Figure 5: sample-specific attacks on {name}",
        caption=(
            f"{attack_kinds.setting(attacked)}, those classified wrongly "
            "included. The fooling rate is the share of the correctly "
            "classified ones that are misclassified after the attack. Bars are "
            "95 % Wilson intervals."
            f"{attack_kinds.graphs(record for record, _ in attacked)}"
        ),
        alt="Fooling rate against epsilon. "
        + " ".join(
            f"{attack} on {networks[line.model]}, {line.label}: "
            f"{line.points[-1].y:.1f} % at {line.points[-1].x:.3g}."
            for (attack, _), lines in panels.items()
            for line in lines
        ),
        draw=draw,
    )


def _lines(attacked: Sequence[Attacked]) -> list[Line]:
    """Returns a line for each network and kind; radius 0 fools nothing."""
    suffixes = attack_kinds.line_labels([record for record, _ in attacked])
    points = merge(
        [
            (
                attack_kinds.line_of(record),
                Point.counted(
                    255 * (case.epsilon or 0), case.fooled, case.correct
                ),
            )
            for record, case in attacked
        ],
        lowest=False,
    )
    return [
        Line(
            label=attack_kinds.KIND_NAMES[kind] + suffixes[weights],
            model=model,
            kind=kind,
            points=line,
        )
        for (model, weights, kind), line in from_zero(
            points, lambda _: Point.bare(0, 0)
        ).items()
    ]
