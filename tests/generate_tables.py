"""Writes what README.md and docs/ show of the records in results/.

Run it from anywhere as `python tests/generate_tables.py`, or as `make tables`.
It replaces what stands between two markers, which Markdown does not show:

    <!-- table: attacks attack_cifar10_*_search* -->     ...  <!-- end -->
    <!-- commands: attack_cifar10_* -->                  ...  <!-- end -->
    <!-- value: training train_lenet5; accuracy -->98.89 %<!-- end -->

A marker names a table of `page_tables`, then the records: names of files in
results/ without `.json`. A value is the cell of that table in the column that
follows, and in the row that has the cells after it. `paper.2` is the second
number of a cell `93.0% / 627 / 11.9`.
"""

import functools
import pathlib
import re
import shlex
import textwrap

import page_tables

from peernets_tf import records
from peernets_tf.records import tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKER = re.compile(
    r"<!-- (?P<kind>table|commands|value): (?P<what>.*?) -->"
    r"(?P<old>.*?)<!-- end -->",
    re.DOTALL,
)


def pages(root=ROOT):
    """Returns the paths of all pages."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def generate(text):
    """Returns a page with everything between its markers made anew.

    Raises:
        ValueError: if a marker names no record, table, column or row, or if
            the marker of a value begins a line. Markdown would then end the
            paragraph there.
    """
    if found := re.search(r"^\W*<!-- value:.*", text, re.MULTILINE):
        raise ValueError(f"break the line elsewhere, not before {found[0]!r}")
    return MARKER.sub(_replace, text)


def _replace(match):
    start = f"<!-- {match['kind']}: {match['what']} -->"
    what = " ".join(match["what"].split())
    if match["kind"] == "value":
        return f"{start}{value(what)}<!-- end -->"
    made = table(what) if match["kind"] == "table" else commands(what)
    return f"{start}\n\n{made}\n\n<!-- end -->"


def table(what):
    """Returns the text of the tables that `NAME PATTERN ...` names."""
    return tables.markdown(_tables(what))


def value(what):
    """Returns the text of the cell that `NAME PATTERN ...; COLUMN; ROW` names.

    A percentage has a space before its sign, as in other prose, and no margin.
    """
    source, column, *row = what.split("; ")
    column, _, part = column.partition(".")
    cells = {
        cells[table.columns.index(column)]
        for table in _tables(source)
        if column in table.columns
        for cells in table.rows
        if set(row) <= set(cells)
    }
    if len(cells) != 1:
        raise ValueError(f"expected one cell for {what!r}. Received: {cells}")
    (cell,) = cells
    if part:
        cell = cell.split(" / ")[int(part) - 1]
    return cell.split(" ±")[0].replace("%", " %")


def commands(what):
    """Returns the commands of the records that patterns match, with times."""
    lines = []
    for path in paths(what):
        provenance = _read(path).provenance
        lines.append(f"# {page_tables.duration(provenance.seconds)}")
        lines += _wrapped(provenance.command)
    return "\n".join(["```", *lines, "```"])


def _wrapped(command):
    lines = textwrap.wrap(
        shlex.join(shlex.split(command)),
        width=92,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _tables(what):
    name, *patterns = what.split()
    if name not in page_tables.TABLES:
        raise ValueError(
            f"expected one of {', '.join(page_tables.TABLES)}. Received: {name}"
        )
    found = [_read(path) for path in paths(" ".join(patterns))]
    return page_tables.TABLES[name](found)


def paths(patterns):
    """Returns the files of the records that patterns match, without repeats."""
    found = {}
    for pattern in patterns.split():
        matched = sorted((ROOT / "results").glob(f"{pattern}.json"))
        if not matched:
            raise ValueError(f"no record in results/ matches {pattern}")
        found.update(dict.fromkeys(matched))
    return list(found)


def shown(text):
    """Returns the files of all records of which a page shows every row."""
    found = set()
    for match in MARKER.finditer(text):
        name, *patterns = match["what"].split()
        if match["kind"] == "table" and name in page_tables.WHOLE:
            found.update(paths(" ".join(patterns)))
    return found


@functools.cache
def _read(path):
    return records.read(str(path))


def main():
    for path in pages():
        text = path.read_text(encoding="utf-8")
        path.write_text(generate(text), encoding="utf-8")


if __name__ == "__main__":
    main()
