"""Writes what pages and model cards show of records, and pages of examples/.

Run it from anywhere as `python tests/generate_tables.py`, or as `make tables`.
It replaces what stands between two markers, which Markdown does not show:

    <!-- table: attacks attack_cifar10_*_search* -->     ...  <!-- end -->
    <!-- picture: truth_cifar10 attack_cifar10_* -->     ...  <!-- end -->
    <!-- commands: attack_cifar10_* -->                  ...  <!-- end -->
    <!-- program: examples/own_model.py -->              ...  <!-- end -->
    <!-- value: training train_lenet5; accuracy -->98.89 %<!-- end -->

A marker names a table of `page_tables` or a picture of `pictures.charts`, then
the records: names of files in results/ without `.json`. A value is the cell of
that table in the column that follows, and in the row that has the cells after
it. `paper.2` is the second number of a cell `93.0% / 627 / 11.9`. Pictures are
written to docs/pictures.

The model card of a preset shows the attacks in results/ that had its weights.
The record of its suite `adaptive`, or else `autoattack`, is copied beside it.
"""

import collections
import functools
import os
import pathlib
import re
import shlex
import textwrap

import page_tables

from peernets_tf import models, records, training
from peernets_tf.records import tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKER = re.compile(
    r"<!-- (?P<kind>table|picture|commands|program|value): (?P<what>.*?) -->"
    r"(?P<old>.*?)<!-- end -->",
    re.DOTALL,
)


def pages(root=ROOT):
    """Returns the paths of all pages."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def generate(text, folder=ROOT):
    """Returns a page with everything between its markers made anew.

    Args:
        text: str, the page.
        folder: path of the page's folder, from which links start.

    Raises:
        ValueError: if a marker names no record, table, picture, column or row,
            or if the marker of a value begins a line. Markdown would then end
            the paragraph there.
    """
    if found := re.search(r"^\W*<!-- value:.*", text, re.MULTILINE):
        raise ValueError(f"break the line elsewhere, not before {found[0]!r}")
    make = {
        "table": table,
        "picture": functools.partial(picture_link, folder=folder),
        "commands": commands,
        "program": program,
    }

    def replace(match):
        start = f"<!-- {match['kind']}: {match['what']} -->"
        what = " ".join(match["what"].split())
        if match["kind"] == "value":
            return f"{start}{value(what)}<!-- end -->"
        return f"{start}\n\n{make[match['kind']](what)}\n\n<!-- end -->"

    return MARKER.sub(replace, text)


@functools.cache
def table(what):
    """Returns the text of the tables that `NAME PATTERN ...` names."""
    return tables.markdown(_tables(what))


@functools.cache
def value(what):
    """Returns the text of the cell that `NAME PATTERN ...; COLUMN; ROW` names.

    A percentage has a space before its sign, as in other prose, and no margin.
    """
    source, column, *row = what.split("; ")
    column, part = re.fullmatch(r"(.*?)(?:\.([1-9]))?", column).groups()
    cells = {
        cells[table.columns.index(column)]
        for table in _tables(source)
        if column in table.columns
        for cells in table.rows
        if collections.Counter(row) <= collections.Counter(cells)
    }
    if len(cells) != 1:
        raise ValueError(f"expected one cell for {what!r}. Received: {cells}")
    (cell,) = cells
    if part:
        cell = cell.split(" / ")[int(part) - 1]
    return cell.split(" ±")[0].replace("%", " %")


def picture(what):
    """Returns the `pictures.Picture` that `NAME PATTERN ...` names."""
    # Importing matplotlib takes a while.
    from peernets_tf import pictures

    name, *patterns = what.split()
    found = [_read(path) for path in paths(" ".join(patterns))]
    named = [p for p in pictures.charts(found) if p.name == name]
    if len(named) != 1:
        raise ValueError(
            f"expected one picture for {what!r}. Received: {named}"
        )
    return named[0]


def picture_path(what):
    """Returns the file of a picture."""
    return ROOT / "docs" / "pictures" / f"{what.split()[0]}.svg"


@functools.cache
def picture_link(what, folder):
    """Returns the text that shows a picture, with its caption."""
    shown = picture(what)
    path = pathlib.Path(os.path.relpath(picture_path(what), folder)).as_posix()
    return f"![{shown.alt}]({path})\n\n*{shown.title}.* {shown.caption}"


def picture_bytes(what):
    """Returns the SVG file of a picture."""
    from peernets_tf import pictures

    return pictures.render(picture(what), pictures.LIGHT, "svg")


@functools.cache
def commands(what):
    """Returns the commands of the records that patterns match, with times.

    A command that wrote several records is there once, with the sum of times.
    """
    times = {}
    for path in paths(what):
        record = _read(path)
        command = _complete(record)
        times[command] = times.get(command, 0) + record.provenance.seconds
    lines = []
    for command, seconds in times.items():
        lines += [
            f"# {tables.duration_text(seconds)}",
            *_wrapped(command),
        ]
    return "\n".join(["```", *lines, "```"])


def _complete(record):
    """Returns the command of a record, as it must be given today.

    An attack on a PeerNet followed the exact gradient alone, before it was
    followed by a second run with the identity backward pass.
    """
    command = record.provenance.command
    was_default = record.provenance.flags.get("backward") == "exact"
    if (
        isinstance(record, records.AttackRecord)
        and record.threat_model
        and record.follows_gradient
        and was_default
        and "--backward=" not in command
    ):
        command += " --backward=exact"
    return command


def program(path):
    """Returns the code of a file, whose path starts from the root."""
    code = (ROOT / path).read_text(encoding="utf-8").rstrip()
    return f"```python\n{code}\n```"


def _wrapped(command):
    lines = textwrap.wrap(
        shlex.join(shlex.split(command)),
        width=78,
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


def card(name):
    """Returns the model card of a preset."""
    run = _read(ROOT / "results" / f"train_{name}.json")
    return training.model_card(name, run, _published(name), _results())


def suite_of(name):
    """Returns the record of the suite that a preset publishes, or None."""
    published = _published(name)
    attacks = training.attacks_on(published, _results())
    return published_suite(attacks, published.graphs)


def published_suite(attacks, graphs):
    """Returns the record of `adaptive`, or else of `autoattack`, or None.

    The attacker knows the graph that a PeerNet's file holds. Of several records
    of one suite it is the one that leaves the fewest images.
    """
    found = [
        record
        for record in attacks
        if isinstance(record, records.SuiteRecord)
        and (
            record.threat_model is None
            or record.threat_model.policy == "known"
            and record.threat_model.defended == graphs
        )
    ]
    for suite in ("adaptive", "autoattack"):
        of_suite = [r for r in found if r.result.suite == suite]
        if of_suite:
            return min(of_suite, key=lambda r: r.result.robust_accuracy)
    return None


def _published(name):
    return _read(models.PRESET_FOLDER / f"{name}.json")


@functools.cache
def _results():
    return [_read(path) for path in paths("*")]


@functools.cache
def _read(path):
    return records.read(str(path))


def main():
    for path in pages():
        text = path.read_text(encoding="utf-8")
        path.write_text(generate(text, path.parent), encoding="utf-8")
        for match in MARKER.finditer(text):
            if match["kind"] == "picture":
                file = picture_path(match["what"])
                file.write_bytes(picture_bytes(match["what"]))
    for name in models.preset_names():
        beside = models.PRESET_FOLDER / name
        beside.with_suffix(".md").write_text(card(name), encoding="utf-8")
        if suite := suite_of(name):
            records.write(suite, str(beside.with_suffix(".suite.json")))


if __name__ == "__main__":
    main()
