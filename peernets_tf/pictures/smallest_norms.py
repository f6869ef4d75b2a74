"""Table 2 of the paper as a picture: the norms that fool, beside ours."""

import dataclasses
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from peernets_tf.pictures import attack_kinds, labels
from peernets_tf.pictures.attack_kinds import Attacked
from peernets_tf.pictures.lines import WIDTH, drawn, text_box
from peernets_tf.pictures.style import LINE_STYLES, Picture, Theme
from peernets_tf.records import AttackCase, AttackRecord, paper

_ROW_HEIGHT = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    """One marker: a network, a kind of attack, and the norm that fools."""

    label: str
    model: str
    kind: str
    norm: float | None
    rate: float
    is_published: bool = False


def smallest_norms(records: Sequence[AttackRecord]) -> list[Picture]:
    """Returns the mean norms of searches, one picture for each data set."""
    found = []
    for dataset, cases in attack_kinds.on_single_images(records).items():
        attacked = [
            (record, case) for record, case in cases if case.epsilon is None
        ]
        if attacked:
            found.append(_picture(dataset, attacked))
    return found


def _picture(dataset: str, attacked: Sequence[Attacked]) -> Picture:
    groups: dict[str, list[Attacked]] = {}
    for pair in attacked:
        groups.setdefault(_search(*pair), []).append(pair)
    panels = {title: _rows(dataset, group) for title, group in groups.items()}
    name = labels.dataset(dataset)

    def draw(theme: Theme) -> Figure:
        sizes = [len(rows) for rows in panels.values()]
        height = _ROW_HEIGHT * sum(sizes) + 0.55 * len(sizes) + 0.5
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(
            len(panels),
            sharex=True,
            squeeze=False,
            gridspec_kw={"height_ratios": sizes},
        )
        for axes, (attack, rows) in zip(
            grid[:, 0], panels.items(), strict=True
        ):
            _draw_rows(axes, rows, theme)
            axes.set_title(drawn(attack), fontsize=11)
        grid[-1, 0].set_xlabel(
            "mean L-infinity norm that fools (0-255 pixel scale, log)"
        )
        return figure

    return Picture(
        name=f"figure_5_smallest_{labels.file_name(dataset)}",
        title=f"Figure 5 and Table 2: the norms that fool on {name}",
        caption=(
            f"{attack_kinds.setting(attacked)}. The smallest perturbation that "
            "fools is searched for each image; its mean L-infinity norm is "
            "over the images that were fooled. The number beside a marker is "
            "the fooling rate; without a marker, none was fooled. Hollow "
            "markers are Table 2 of the paper."
            f"{attack_kinds.graphs(record for record, _ in attacked)}"
        ),
        alt="Mean L-infinity norm that fools. "
        + " ".join(
            f"{attack}, {row.label}: "
            + (f"{row.norm:.3g}." if row.norm else "none is fooled.")
            for attack, rows in panels.items()
            for row in rows
        ),
        draw=draw,
    )


def _search(record: AttackRecord, case: AttackCase) -> str:
    """Returns what the searches of one panel share."""
    norm = "L-infinity" if case.norm == "linf" else "L2"
    name = f"{attack_kinds.with_budget(record, case)}, smallest in {norm}"
    if record.rejected_as is not None:
        name += f", a rejected image counts as {record.rejected_as}"
    return name


def _rows(dataset: str, attacked: Sequence[Attacked]) -> list[_Row]:
    """Returns the rows of one attack, the paper's after those of a network."""
    records = [record for record, _ in attacked]
    networks = attack_kinds.networks(records)
    suffixes = attack_kinds.line_labels(records)
    rows = []
    for model, network in networks.items():
        for record, case in attacked:
            if record.model != model:
                continue
            kind = attack_kinds.attack_kind(record)
            label = f"{network}, {attack_kinds.KIND_NAMES[kind]}"
            rows.append(
                _Row(
                    label=label + suffixes[record.weights_sha256],
                    model=model,
                    kind=kind,
                    norm=case.mean_linf,
                    rate=case.fooled / max(case.correct, 1),
                )
            )
        attack = records[0].attack
        cells = paper.SAMPLE_SPECIFIC.get((model, attack))
        # The norm in which the paper searched.
        norm = "l2" if attack == "gradient_descent" else "linf"
        if dataset == "cifar10" and cells and attacked[0][1].norm == norm:
            rows.append(
                _Row(
                    label=f"{network}, paper",
                    model=model,
                    kind="exact",
                    norm=cells[2],
                    rate=cells[0],
                    is_published=True,
                )
            )
    return rows


def _draw_rows(axes: Axes, rows: Sequence[_Row], theme: Theme) -> None:
    for y, row in enumerate(rows):
        color = theme.color(row.model)
        place: tuple[float, float] = (row.norm or 0.0, y)
        if row.norm:
            axes.plot(
                *place,
                color=color,
                marker=LINE_STYLES[row.kind].marker,
                markerfacecolor=theme.background if row.is_published else color,
                markersize=7,
                clip_on=False,
            )
        axes.annotate(
            f"{row.rate:.1%}".replace("%", " %"),
            place,
            # Without a norm, at the left side of the panel.
            xycoords="data" if row.norm else axes.get_yaxis_transform(),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox=text_box(theme),
        )
    axes.set_yticks(range(len(rows)), [drawn(row.label) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    # Room for the number beside the last marker.
    axes.margins(x=0.1)
