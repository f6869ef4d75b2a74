"""Text of records cannot break tables, cards or terminals."""

import pytest
from sample_records import make_training

from peernets_tf import records, training

EVIL = "a|b\n<script>\x1b[31m\u202e\ud800`"


@pytest.mark.parametrize(
    "write", [records.escape, records.code, records.visible]
)
def test_one_visible_line(write):
    text = write(EVIL)
    assert text.isprintable()
    assert r"\n" in text
    assert r"\x1b" in text
    text.encode()


def test_tables_and_cards(tmp_path):
    path = str(tmp_path / "record.json")
    record = make_training(model=EVIL, dataset=EVIL)
    records.write(record, path)
    text = records.report([path], True)
    card = training.model_card("name", record, record)
    for written in (text, card):
        assert "<script>" not in written
        assert "\x1b" not in written
        written.encode()
    assert r"a\|b" in text
