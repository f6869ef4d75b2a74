"""README.md and docs/ show what the records in results/ hold, and all of it."""

import re

import generate_tables
import pytest
from generate_tables import MARKER, ROOT, generate, pages

PAGES = pages()
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in PAGES
}
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
# A confidence level, as in "a 95 % interval", is not a result.
PERCENT = re.compile(r"\d[\d.,]*\s?%(?!\s(?:interval|margin|Wilson))")
NUMBER = re.compile(r"\d(?=[\d.,]*\s?%)")


def problems(text, name="README.md"):
    """Returns what differs between a page and the records, a line each."""
    found = []
    made = generate(text, (ROOT / name).parent)
    for old, new in zip(
        MARKER.finditer(text), MARKER.finditer(made), strict=True
    ):
        if old["old"] != new["old"]:
            found.append(f"differs from the records: {old['what']}")
    # A percentage that no record makes may be false, so none may stand there.
    prose = FENCED.sub("", MARKER.sub("", text))
    found += [f"has no record: {p}" for p in PERCENT.findall(prose)]
    return found


def generated(kind):
    """Returns the name of a page and a match for each marker of one kind."""
    return [
        (name, match)
        for name, text in TEXTS.items()
        for match in MARKER.finditer(text)
        if match["kind"] == kind
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_pages_show_what_the_records_hold(name):
    assert problems(TEXTS[name], name) == [], "run `make tables`"


def test_every_record_is_shown():
    shown = set().union(*map(generate_tables.shown, TEXTS.values()))
    assert shown == set((ROOT / "results").glob("*.json"))


@pytest.mark.parametrize("match", generated("picture"))
def test_pictures_show_what_the_records_hold(match):
    _, match = match
    path = generate_tables.picture_path(match["what"])
    assert path.read_bytes() == generate_tables.picture_bytes(match["what"])


def test_records_come_from_committed_code():
    for path in (ROOT / "results").glob("*.json"):
        record = generate_tables.records.read(str(path))
        assert not record.provenance.commit.endswith("+")


def with_part(name, match, part):
    """Returns a page with another text between two markers."""
    text = TEXTS[name]
    return text[: match.start("old")] + part + text[match.end("old") :]


def test_a_false_cell_a_missing_row_and_another_row_are_seen():
    markers = generated("table")
    assert len(markers) > 10
    for name, match in markers:
        *_, row = [
            line for line in match["old"].splitlines() if line[:1] == "|"
        ]
        digit = re.search(r"\d(?=\D*$)", row) or re.search(r"\w", row)
        false = row[: digit.start()] + "?" + row[digit.end() :]
        for planted in (false, f"{row}\n{false}", ""):
            part = match["old"].replace(row, planted)
            assert problems(with_part(name, match, part), name), row


def test_every_false_percentage_in_prose_is_seen():
    count = 0
    for name, text in TEXTS.items():
        prose = FENCED.sub(lambda fenced: "`" * len(fenced[0]), text)
        for match in NUMBER.finditer(prose):
            if not PERCENT.match(prose, match.start()):
                continue
            digit = str((int(match[0]) + 1) % 10)
            false = text[: match.start()] + digit + text[match.end() :]
            assert problems(false, name), match
            count += 1
    assert count > 100


def test_a_percentage_outside_of_markers_is_seen():
    assert problems("Attacks leave 64.6 %, with a 95 % interval of 3.") == [
        "has no record: 64.6 %"
    ]
    assert problems("| 64.6% |\n|---|") == ["has no record: 64.6%"]
    assert problems("```\n64.6 %\n```") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: attacks no_file -->x<!-- end -->", "no record"),
        ("<!-- table: none trials -->x<!-- end -->", "expected one of"),
        ("a <!-- value: trials trials; all -->x<!-- end -->", "one cell"),
        ("a <!-- value: trials trials; tried -->x<!-- end -->", "one cell"),
        ("a\n<!-- value: trials trials; tried; all -->x<!-- end -->", "break"),
        ("- <!-- value: trials trials; tried; all -->x<!-- end -->", "break"),
    ],
)
def test_wrong_markers_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        generate(text)


def test_a_value_is_a_cell_without_its_margin():
    paper = "attacks attack_cifar10_resnet32_fgsm_search; paper"
    assert generate_tables.value(f"{paper}.1") == "99.0 %"
    assert generate_tables.value(f"{paper}.3") == "3.93"
    (record,) = generate_tables.paths("train_mnist_lenet5")
    accuracy = generate_tables.records.read(str(record)).accuracy
    assert generate_tables.value("training train_mnist_lenet5; accuracy") == (
        f"{accuracy:.2%}".replace("%", " %")
    )


def test_a_command_stands_whole_in_short_lines():
    text = generate_tables.commands("attack_*")
    assert max(map(len, text.splitlines())) <= 80
    joined = re.sub(r" \\\n +", " ", text)
    for path in generate_tables.paths("attack_*"):
        record = generate_tables.records.read(str(path))
        assert record.provenance.command in joined


def test_a_command_that_wrote_two_records_stands_once_and_gives_both_today():
    text = generate_tables.commands("attack_brelu_cifar10_pgd_*")
    assert text.count("# ") == text.count("peernets_tf.evaluate") == 1
    old = "attack_cifar10_pr_resnet32_pgd_exact"
    assert "--backward=exact" in generate_tables.commands(old)


def test_tables_are_narrow():
    for name, text in TEXTS.items():
        for line in text.splitlines():
            assert len(line) <= 110 or line[:1] != "|", (name, line)
