"""Accuracy against epsilon for each kind of attack, in one picture.

This picture tells the truth about the defence: what the exact gradient leaves
stands beside what BPDA, noise and attacks without gradients leave.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from peernets_tf.pictures import attack_kinds, labels
from peernets_tf.pictures.attack_kinds import Attacked
from peernets_tf.pictures.lines import (
    WIDTH,
    Line,
    Point,
    draw_lines,
    from_zero,
    merge,
    model_key,
)
from peernets_tf.pictures.radius_axis import radius_axis
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import AttackRecord

_HEIGHT = 4.6
# The height of a line's name, in percent of accuracy.
_GAP = 6.0


def truth_pictures(records: Sequence[AttackRecord]) -> list[Picture]:
    """Returns the picture of each data set that has attacks in L-infinity."""
    found = []
    for dataset, cases in attack_kinds.on_single_images(records).items():
        attacked = attack_kinds.of_fixed_strength(
            [(record, case) for record, case in cases if case.norm == "linf"]
        )
        if attacked:
            found.append(_picture(dataset, attacked))
    return found


def _picture(dataset: str, attacked: Sequence[Attacked]) -> Picture:
    lines = _lines(attacked)
    networks = attack_kinds.networks([record for record, _ in attacked])
    name = labels.dataset(dataset)

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, _HEIGHT))
        axes = figure.subplots()
        axes.set_ylim(0, 100)
        radius_axis(axes, [p.x for line in lines for p in line.points], "linf")
        axes.set_ylabel("accuracy (%)")
        draw_lines(axes, lines, theme, gap=_GAP)
        model_key(figure, list(networks.items()), theme)
        return figure

    return Picture(
        name=f"truth_{labels.file_name(dataset)}",
        title=f"Accuracy under attack on {name}",
        caption=_caption(attacked),
        alt=f"Accuracy on {name} against the radius of the attack. "
        + " ".join(_sentence(line, networks) for line in lines),
        draw=draw,
    )


def _lines(attacked: Sequence[Attacked]) -> list[Line]:
    """Returns a line for each network and kind of attack."""
    suffixes = attack_kinds.line_labels([record for record, _ in attacked])
    # The accuracy before an attack is that on the most images.
    clean: dict[str, Point] = {}
    for record, case in sorted(attacked, key=lambda pair: pair[1].total):
        point = Point.counted(0, case.correct, case.total)
        clean[record.weights_sha256] = point
    points = merge(
        [
            (
                attack_kinds.line_of(record),
                Point.counted(
                    255 * (case.epsilon or 0),
                    case.adversarial_correct,
                    case.total,
                ),
            )
            for record, case in attacked
        ],
        lowest=True,
    )
    return [
        Line(
            label=attack_kinds.KIND_NAMES[kind] + suffixes[weights],
            model=model,
            kind=kind,
            points=line,
        )
        for (model, weights, kind), line in from_zero(
            points, lambda key: clean[key[1]]
        ).items()
    ]


def _caption(attacked: Sequence[Attacked]) -> str:
    by_kind: dict[str, dict[str, None]] = {}
    for record, case in attacked:
        kind = attack_kinds.attack_kind(record)
        name = attack_kinds.with_budget(record, case)
        by_kind.setdefault(kind, {})[name] = None
    names = dict.fromkeys(name for names in by_kind.values() for name in names)
    lowest = ""
    if any(len(names) > 1 for names in by_kind.values()):
        lowest = " Of several attacks of one kind, the strongest is shown."
    return (
        f"{attack_kinds.setting(attacked)}. Attacks: {'; '.join(names)}."
        f"{lowest} Bars are 95 % Wilson intervals."
        f"{attack_kinds.graphs(record for record, _ in attacked)}"
    )


def _sentence(line: Line, networks: dict[str, str]) -> str:
    end = line.points[-1]
    return (
        f"{networks[line.model]}, {line.label}: {end.y:.1f} % at {end.x:.3g}."
    )
