"""The page holds the records' tables, escaped, and loads nothing."""

import collections
import html.parser
import pathlib
import re

import pytest
from chapters_test import all_tables
from commands import check_errors, run_command, run_process
from sample_records import (
    make_attack,
    make_case,
    make_provenance,
    make_training,
    one_of_each_kind,
)

from peernets_tf import pictures, records
from peernets_tf.pictures import page
from peernets_tf.records import Source

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOSTILE = "<script>alert(1)</script>\"'&|`\n\x1b[31m\u202e"


class Reader(html.parser.HTMLParser):
    """Reads tables, images, and what a browser would load.

    Attributes:
        tables: list of (caption, list of rows), a row a tuple of cells.
        images: list of dicts of attributes.
        loaded: list of the values of attributes that load something.
        texts: dict of lists of str, the texts by their elements' classes.
        open: list of the elements that are open.
    """

    VOID = ("meta", "link", "img", "source", "br")

    def __init__(self, text):
        super().__init__()
        self.tables, self.images, self.loaded, self.open = [], [], [], []
        self.texts = collections.defaultdict(list)
        self.tags = collections.Counter()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags[tag] += 1
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "srcset", "href", "data", "action", "poster"):
            if name in attributes:
                self.loaded.append(attributes[name])
        if tag == "img":
            self.images.append(attributes)
        if tag == "table":
            self.tables.append(["", []])
        if tag == "tr":
            self.tables[-1][1].append([])
        if tag in ("td", "th"):
            self.tables[-1][1][-1].append("")
        if attributes.get("class") in ("verdict", "open"):
            self.texts[attributes["class"]].append("")
        if tag not in self.VOID:
            self.open.append((tag, attributes.get("class")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        if tags[-1:] in (["td"], ["th"]):
            self.tables[-1][1][-1][-1] += data
        if "caption" in tags:
            self.tables[-1][0] += data
        for _, name in self.open:
            if name in ("verdict", "open"):
                self.texts[name][-1] += data


def make_page(found, made=(), missing=(), folder=None):
    sources = [Source(path="a/record.json", record=record) for record in found]
    embedded = [page.embed(picture, str(folder)) for picture in made]
    return page.page(sources, embedded, missing)


def published():
    paths = sorted((ROOT / "results").glob("*.json"))
    return [records.read(str(path)) for path in paths]


@pytest.mark.parametrize("found", [one_of_each_kind(), published()])
def test_tables_are_those_of_the_records(found):
    reader = Reader(make_page(found))
    shown = collections.Counter(
        (tuple(head), tuple(row))
        for _, (head, *rows) in reader.tables
        for row in rows
    )
    assert shown == collections.Counter(
        (table.columns, row)
        for table in all_tables(found)
        for row in table.rows
    )
    titles = {table.title for table in all_tables(found) if table.title}
    assert titles <= {caption for caption, _ in reader.tables}
    assert all(caption for caption, _ in reader.tables)


def test_nothing_is_loaded(tmp_path):
    found = one_of_each_kind()
    text = make_page(found, pictures.charts(found), folder=tmp_path)
    reader = Reader(text)
    assert len(reader.images) == reader.tags["picture"] == 3
    assert reader.tags["source"] == 3
    for image in reader.images:
        assert image["src"].startswith("data:image/")
        assert image["alt"] and int(image["width"]) > 0 < int(image["height"])
    for address in reader.loaded:
        assert address.startswith(("data:", "#"))
    assert reader.tags["script"] == 0
    assert not re.search(r"https?://|url\(|@import", text)


def test_links_lead_to_places_of_the_page():
    text = make_page(one_of_each_kind())
    for anchor in re.findall(r'href="#([^"]+)"', text):
        assert text.count(f'id="{anchor}"') == 1


def test_text_of_records_is_escaped():
    provenance = make_provenance(
        command=HOSTILE, commit=HOSTILE, device=HOSTILE
    )
    fields = {
        "model": HOSTILE,
        "dataset": HOSTILE,
        "provenance": provenance,
    }
    text = make_page(
        [
            make_training(**fields),
            make_attack(attack=HOSTILE, checkpoint=HOSTILE, **fields),
        ],
        missing=[HOSTILE],
    )
    reader = Reader(text)
    assert reader.tags["script"] == 0
    assert "\x1b" not in text and "\u202e" not in text
    shown = records.visible(HOSTILE)
    assert any(
        shown in cell
        for _, rows in reader.tables
        for row in rows
        for cell in row
    )
    assert "&lt;script&gt;" in text


def test_the_verdict_has_the_numbers_of_the_record():
    case = make_case(
        norm="linf", epsilon=8 / 255, rho=None, adversarial_correct=26
    )
    record = make_attack(attack="pgd", is_universal=False, cases=(case,))
    reader = Reader(make_page([record]))
    (verdict,) = reader.texts["verdict"]
    low, high = records.statistics.wilson_interval(26, 200)
    assert "PR-ResNet-32 on CIFAR-10 keeps 13.0 % accuracy" in verdict
    assert f"interval {100 * low:.1f} % to {100 * high:.1f} %" in verdict
    assert "200 test images" in verdict
    assert "Not tried on it: " in reader.texts["open"][0]


def test_without_an_attack_the_page_says_so():
    (verdict,) = Reader(make_page([make_training()])).texts["verdict"]
    assert "no attack" in verdict


def test_command(tmp_path):
    path = tmp_path / "record.json"
    # Without a file of the model, so no picture of it is drawn.
    records.write(make_attack(checkpoint="gone.keras"), str(path))
    folder = tmp_path / "new" / "report"
    result = run_command("peernets_tf.report", f"--output_dir={folder}", path)
    assert result.status == 0, result
    assert f"Wrote {folder / 'index.html'}" in result.stdout
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "gone.keras is missing" in text
    names = {file.name for file in (folder / "pictures").iterdir()}
    assert names == {"figure_7.png", "figure_7.svg"}
    # The same records give the same page.
    run_command("peernets_tf.report", f"--output_dir={folder}", path)
    assert (folder / "index.html").read_text(encoding="utf-8") == text


def test_command_refuses_a_file_as_its_folder(tmp_path):
    path = tmp_path / "record.json"
    records.write(make_attack(), str(path))
    check_errors(
        "peernets_tf.report",
        [([f"--output_dir={path}", path], "--output_dir must be a folder")],
    )


def test_a_process_prints_nothing_but_the_page(tmp_path):
    """Not what TensorFlow and matplotlib say when they start."""
    path = tmp_path / "record.json"
    records.write(make_training(), str(path))
    folder = tmp_path / "report"
    done = run_process(
        f"--output_dir={folder}", path, module="peernets_tf.report"
    )
    assert (done.status, done.stderr) == (0, "")
    page_path = folder / "index.html"
    assert done.stdout.endswith(f"Wrote {page_path}: open it in a browser\n")
