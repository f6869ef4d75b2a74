"""Markdown tables, and the texts that those of several kinds share.

What all rows of a table share stands in its title, so that a table is not
wider than a screen. A rate that was counted on test images has the margin of
its 95 % Wilson interval behind it: `64.6% ±3.0` means 64.6 % ± 3.0 points.
"""

import dataclasses
from collections.abc import Sequence

from peernets_tf.records import statistics
from peernets_tf.records.escaping import escape
from peernets_tf.records.names import graphs_text
from peernets_tf.records.schema import Graphs, ThreatModel


@dataclasses.dataclass(frozen=True)
class Table:
    """A table and what all its rows share.

    Attributes:
        title: str, one line of text, empty for none.
        columns: tuple of str, the heads.
        rows: tuple of tuples of str, the cells.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Returns the title in bold, then the table."""
        table = markdown_table(self.columns, self.rows)
        return f"**{escape(self.title)}**\n\n{table}" if self.title else table


def markdown(tables: Sequence[Table]) -> str:
    """Returns several tables as one text."""
    return "\n\n".join(table.markdown() for table in tables)


def markdown_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Returns a Markdown table with aligned columns, its cells escaped.

    Args:
        columns: sequence of str, the heads.
        rows: sequence of sequences of str.
    """
    cells = [[*map(escape, row)] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def duration_text(seconds: float | None) -> str:
    """Returns a time as text, in the unit that suits it."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def rate_text(count: int, total: int, digits: int = 1) -> str:
    """Returns a rate and its 95 % margin, as in `64.6% ±3.0`.

    The margin covers the choice of test images only, not other seeds of
    training or other graphs of peers.

    Args:
        count: int, the images counted.
        total: int, all images; the text is `-` if there are none.
        digits: int, the decimals of both.
    """
    if not total:
        return "-"
    margin = 100 * statistics.margin(count, total)
    return f"{count / total:.{digits}%} ±{margin:.{digits}f}"


def size_text(graphs: Graphs | None) -> str:
    """Returns N x M, the peers of a graph and the graphs, such as `50 x 10`.

    Args:
        graphs: the `Graphs`; None, which gives `-`, for a model without peers.
    """
    return f"{graphs.num_peers} x {graphs.num_graphs}" if graphs else "-"


def graphs_cell(
    threat_model: ThreatModel | None, *, with_policy: bool = True
) -> str:
    """Returns the defended model's graphs as a cell, such as `50 x 10, known`.

    Args:
        threat_model: the `ThreatModel`; None, which gives `-`, for a model
            without peers.
        with_policy: bool, whether to say what the attacker knows of them.
    """
    if threat_model is None:
        return "-"
    size = size_text(threat_model.defended)
    return f"{size}, {threat_model.policy}" if with_policy else size


def peers_text(
    threat_model: ThreatModel | None, *, with_policy: bool = True
) -> str:
    """Returns how a title names the defended model's graphs.

    Args:
        threat_model: the `ThreatModel`, None for a model without peers.
        with_policy: bool, whether to say what the attacker knows of them.
    """
    if threat_model is None:
        return ""
    graphs = threat_model.defended
    text = graphs_text(graphs.num_graphs, graphs.num_peers)
    return f", {text}, {threat_model.policy}" if with_policy else f", {text}"


def precision_text(precision: str | None) -> str:
    """Returns how a title names the precision in which a model computes.

    Args:
        precision: str or None, see `AttackRecord`.
    """
    return "" if precision is None else f", in {precision}"


def rejection_text(rejected_as: str | None, rejected: int | None) -> str:
    """Returns how a title names the images that a model rejects.

    Args:
        rejected_as: str or None, what a rejected adversarial image counts as.
        rejected: int or None, the unperturbed images that are rejected.
    """
    if rejected_as is None:
        return ""
    return f", {rejected} rejected; a rejected image counts as {rejected_as}"
