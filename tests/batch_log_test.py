"""The log of batches, whole and damaged."""

import dataclasses

import pytest

from peernets_tf.errors import UserError
from peernets_tf.evaluation.batch_log import BatchLog


@dataclasses.dataclass(frozen=True)
class Row:
    classes: tuple[int, ...]
    length: float | None = None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "batches.jsonl"


def test_keeps_rows_in_the_file(path):
    log = BatchLog(str(path))
    assert log.get("a/0", Row) is None
    log.add("a/0", Row((1, 2), 0.5))
    log.add("a/1", Row(()))
    for again in (log, BatchLog(str(path))):
        assert again.get("a/0", Row) == Row((1, 2), 0.5)
        assert again.get("a/1", Row) == Row(())


def test_drops_a_line_that_a_kill_cut(path):
    log = BatchLog(str(path))
    log.add("a/0", Row((1,)))
    log.add("a/1", Row((2,)))
    whole = path.read_text()
    path.write_text(whole[:-5])
    log = BatchLog(str(path))
    assert log.get("a/0", Row) == Row((1,))
    assert log.get("a/1", Row) is None
    log.add("a/1", Row((2,)))
    assert path.read_text() == whole


@pytest.mark.parametrize(
    "text",
    [
        b'{"key": "a/0", \n',
        b"[1, 2]\n",
        b"3\n",
        b'{"classes": [1]}\n',
        b'{"identity": {}}\n{"key": "a/0", "classes": [1]}\n',
        b'{"key": ["a"]}\n',
        b"\xff\xfe\n",
    ],
)
def test_a_damaged_file_says_what_to_do(text, path):
    path.write_bytes(text)
    with pytest.raises(UserError, match="batches.jsonl .* line 1.*Remove it"):
        BatchLog(str(path))


@pytest.mark.parametrize(
    "text",
    [
        '{"key": "a/0"}',
        '{"key": "a/0", "classes": [1.5]}',
        '{"key": "a/0", "classes": null}',
    ],
)
def test_a_row_of_another_type_says_what_to_do(text, path):
    path.write_text(f"{text}\n")
    with pytest.raises(UserError, match="a/0.*classes.*Remove it"):
        BatchLog(str(path)).get("a/0", Row)
