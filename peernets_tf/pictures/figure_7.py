"""Figure 7 of the paper: fooling rates of universal perturbations."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from peernets_tf.pictures import attack_kinds, labels
from peernets_tf.pictures.lines import (
    WIDTH,
    Line,
    Point,
    draw_lines,
    drawn,
    merge,
    model_key,
)
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import AttackCase, AttackRecord, attack_tables

_PANEL_HEIGHT = 3.2
# The height of a line's name, in percent of fooling rate.
_GAP = 8.0
_MAKERS = {
    "noise": "random noise",
    "universal.deepfool": "DeepFool",
    "universal.file": "from a file",
    "universal.gradient": "gradient",
    "universal.sequential": "DeepFool, one image at a time",
}


def figure_7(records: Sequence[AttackRecord]) -> list[Picture]:
    """Returns fooling rates of universal perturbations; a panel a data set."""
    panels = {
        dataset: lines
        for dataset in dict.fromkeys(record.dataset for record in records)
        if (lines := _universal_lines(records, dataset))
    }
    if not panels:
        return []
    shown = [
        (record, case)
        for record in records
        if record.dataset in panels
        for case in record.cases
        if case.rho is not None
    ]
    networks = attack_kinds.networks([record for record, _ in shown])
    names = [labels.dataset(name) for name in panels]

    def draw(theme: Theme) -> Figure:
        size = (WIDTH, _PANEL_HEIGHT * len(panels))
        figure = Figure(figsize=size)
        rows = figure.subplots(len(panels), squeeze=False)[:, 0]
        for axes, name, lines in zip(rows, names, panels.values(), strict=True):
            rhos = sorted({point.x for line in lines for point in line.points})
            axes.set_title(drawn(name))
            axes.set_ylim(0, 100)
            axes.set_ylabel("fooling rate (%)")
            axes.set_xlim(0, rhos[-1])
            axes.set_xlabel("ρ: L2 norm relative to that of an image")
            draw_lines(axes, lines, theme, gap=_GAP)
        model_key(figure, list(networks.items()), theme)
        return figure

    return [
        Picture(
            name="figure_7",
            title="Figure 7: universal perturbations",
            caption=(
                f"{attack_kinds.setting(shown)}. The fooling rate is the share "
                "of images whose predicted class one perturbation for all of "
                "them changes; ρ is its L2 norm over the mean L2 norm of the "
                "training images, in [0, 1] unless a line names another "
                "reading. Random noise of the same norm is the control. Thin "
                "lines with hollow markers are the paper's. Bars are 95 % "
                "Wilson intervals."
                f"{attack_kinds.graphs(record for record, _ in shown)}"
            ),
            alt="Fooling rate against rho. "
            + " ".join(
                f"{networks[line.model]}, {line.label}: "
                f"{line.points[-1].y:.1f} % at {line.points[-1].x:g}."
                for lines in panels.values()
                for line in lines
            ),
            draw=draw,
        )
    ]


def _universal_lines(
    records: Sequence[AttackRecord], dataset: str
) -> list[Line]:
    """Returns a line for each network, maker, reading of rho and kind.

    The paper's lines follow.
    """
    of_dataset = [record for record in records if record.dataset == dataset]
    suffixes = attack_kinds.line_labels(of_dataset)
    points = merge(
        [
            (
                (record.model, record.weights_sha256, *_maker(record, case)),
                Point.counted(case.rho, case.changed, case.total),
            )
            for record in of_dataset
            for case in record.cases
            if case.rho is not None
        ],
        lowest=False,
    )
    lines = [
        Line(
            label=name + suffixes[weights], model=model, kind=kind, points=line
        )
        for (model, weights, name, kind), line in points.items()
    ]
    if not any(record.is_universal for record in of_dataset):
        return []
    return lines + _published_lines(of_dataset, {line.model for line in lines})


def _maker(record: AttackRecord, case: AttackCase) -> tuple[str, str]:
    """Returns the name of a line and its kind."""
    kind = attack_kinds.attack_kind(record)
    maker = _MAKERS.get(record.attack, labels.short(record.attack))
    if record.follows_gradient and record.threat_model is not None:
        maker = f"{maker}, {kind}"
    return maker + attack_kinds.reading(case), kind


def _published_lines(
    records: Sequence[AttackRecord], models: set[str]
) -> list[Line]:
    """Returns the paper's lines for the networks and graphs of records."""
    found = {}
    for record in records:
        if record.model not in models or not record.is_universal:
            continue
        rows = attack_tables.published_universal(record)
        if rows:
            found[record.model] = Line(
                label="paper",
                model=record.model,
                kind="exact",
                points=tuple(
                    Point.bare(rho, 100 * rate)
                    for rho, (_, rate) in sorted(rows.items())
                ),
                is_published=True,
            )
    return list(found.values())
