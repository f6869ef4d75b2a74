"""Accuracy against epsilon for each kind of attack, in one picture.

This picture tells the truth about the defence: what the exact gradient leaves
stands beside what BPDA, noise and attacks without gradients leave.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

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
from peernets_tf.records import AttackRecord, tables

_HEIGHT = 4.6
# The height of a line's name, in percent of accuracy.
_GAP = 6.0


def truth_pictures(records: Sequence[AttackRecord]) -> list[Picture]:
    """Returns the picture of each data set that has attacks in L-infinity."""
    found = []
    for dataset, cases in attack_kinds.on_single_images(records).items():
        attacked = [
            (record, case)
            for record, case in cases
            if case.norm == "linf"
            and case.epsilon
            # Sweeps belong to the picture of the loss against the steps.
            and not attack_kinds.is_sweep_of_steps(record)
        ]
        if attacked:
            found.append(_picture(dataset, attacked))
    return found


def _picture(dataset: str, attacked: Sequence[Attacked]) -> Picture:
    lines = _lines(attacked)
    networks = attack_kinds.networks([record for record, _ in attacked])
    name = attack_kinds.label(tables.dataset_name(dataset))

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, _HEIGHT))
        axes = figure.subplots()
        axes.set_ylim(0, 100)
        axes.set_xlim(0, max(line.points[-1].x for line in lines))
        axes.set_xlabel("L-infinity radius of the attack (0-255 pixel scale)")
        axes.set_ylabel("accuracy (%)")
        draw_lines(axes, lines, theme, gap=_GAP)
        model_key(axes, list(networks.items()), theme)
        return figure

    return Picture(
        name=f"truth_{attack_kinds.file_name(dataset)}",
        title=f"Accuracy under attack on {name}",
        caption=_caption(name, attacked),
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
            for record, case in _on_most_images(attacked)
        ],
        lowest=True,
    )
    return [
        Line(
            label=attack_kinds.KIND_NAMES[kind] + suffixes[weights],
            model=model,
            kind=kind,
            # One measurement is a marker: a line would invent the others.
            points=(clean[weights], *line) if len(line) > 1 else line,
        )
        for (model, weights, kind), line in points.items()
    ]


def _on_most_images(attacked: Sequence[Attacked]) -> list[Attacked]:
    """Returns each attack of one strength once, on the most images."""
    kept: dict[tuple[str, ...], Attacked] = {}
    for record, case in sorted(attacked, key=lambda pair: pair[1].total):
        network = (record.model, record.weights_sha256)
        attack = (record.attack, case.attack, record.backward)
        kept[*network, *attack] = record, case
    return list(kept.values())


def _caption(name: str, attacked: Sequence[Attacked]) -> str:
    kinds: dict[str, dict[str, None]] = {}
    for record, case in attacked:
        kind = attack_kinds.KIND_NAMES[attack_kinds.attack_kind(record)]
        attack = attack_kinds.attack_name(record, case)
        kinds.setdefault(kind, {})[attack] = None
    attacks = "; ".join(
        kind if list(names) == [kind] else f"{kind}: {', '.join(names)}"
        for kind, names in kinds.items()
    )
    totals = [case.total for _, case in attacked]
    return (
        f"Accuracy that attacks leave on {name}, {attack_kinds.images(totals)}"
        f". Attacks: {attacks}. Where several attacks of one kind have the "
        "same radius, the lowest accuracy is shown. Markers are measurements, "
        "bars their 95 % Wilson intervals."
        f"{attack_kinds.graphs(record for record, _ in attacked)}"
    )


def _sentence(line: Line, networks: dict[str, str]) -> str:
    end = line.points[-1]
    return (
        f"{networks[line.model]}, {line.label}: {end.y:.1f} % at {end.x:.3g}."
    )
