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


def test_the_guard_stands_before_each_row(path):
    allowed = iter([True, True, False])

    def guard():
        if not next(allowed):
            raise RuntimeError

    log = BatchLog(str(path), guard=guard)
    for key in ("a/0", "b/0"):
        log.add(key, Row((1,)))
    with pytest.raises(RuntimeError):
        log.add("b/1", Row((2,)))
    again = BatchLog(str(path))
    assert [key in again for key in ("a/0", "b/0", "b/1")] == [
        True,
        True,
        False,
    ]


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
        b'{"key": "a/0", "classes": [1]}\n',
        b'{"identity": {}}\n{"key": "a/0", "run": "", "classes": [1]}\n',
        b'{"key": ["a"], "run": ""}\n',
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
        '{"key": "a/0", "run": ""}',
        '{"key": "a/0", "run": "", "classes": [1.5]}',
        '{"key": "a/0", "run": "", "classes": null}',
    ],
)
def test_a_row_of_another_type_says_what_to_do(text, path):
    path.write_text(f"{text}\n")
    with pytest.raises(UserError, match="a/0.*classes.*Remove it"):
        BatchLog(str(path)).get("a/0", Row)


def test_reads_the_logs_of_others(tmp_path):
    paths = [tmp_path / f"batches-{i}-of-2.jsonl" for i in (1, 2)]
    others = str(tmp_path / "batches*.jsonl")
    first, second = (BatchLog(str(path), others=others) for path in paths)
    first.add("a/0", Row((1,)))
    second.add("a/1", Row((2,)))
    assert "a/1" not in first
    before = paths[1].read_text()
    # The other shard is writing a row.
    paths[1].write_text(before + before[:9])
    for log in (first, BatchLog(str(paths[0]), others=others)):
        log.refresh()
        assert "a/0" in log
        assert log.get("a/1", Row) == Row((2,))
    assert paths[1].read_text() == before + before[:9]
    # Each adds to its own file only, and drops a cut line of that.
    BatchLog(str(paths[1]), others=others)
    assert paths[1].read_text() == before


def test_all_readers_take_the_same_of_two_rows(tmp_path):
    paths = [str(tmp_path / f"{name}.jsonl") for name in "ab"]
    for number, path in enumerate(paths):
        BatchLog(path).add("a/0", Row((number,)))
    for path in paths:
        log = BatchLog(path, others=str(tmp_path / "*.jsonl"))
        assert log.get("a/0", Row) == Row((1,))


def test_a_damaged_log_of_another_is_named(tmp_path):
    (tmp_path / "b.jsonl").write_text("[1]\n")
    with pytest.raises(UserError, match=r"b\.jsonl .* line 1"):
        BatchLog(str(tmp_path / "a.jsonl"), others=str(tmp_path / "*.jsonl"))
