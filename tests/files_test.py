"""Files appear whole or not at all, and errors name them."""

import numpy as np
import pytest

from peernets_tf import files
from peernets_tf.errors import UserError


def test_a_failure_keeps_the_old_file(tmp_path):
    path = str(tmp_path / "file.txt")
    files.write_text("old", path)
    with pytest.raises(OSError, match="full"), files.atomic_file(path) as name:
        with open(name, "w") as file:
            file.write("half")
        raise OSError("disk full")
    assert (tmp_path / "file.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_the_temporary_file_keeps_its_suffix():
    path = "model.keras"
    with pytest.raises(KeyError), files.atomic_file(path) as temporary:
        assert temporary.endswith(".keras")
        raise KeyError


def test_json_is_strict_and_whole(tmp_path):
    path = str(tmp_path / "a.json")
    files.write_json({"a": [1, 2.5, None]}, path)
    assert files.read_json(path) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json({"a": float("nan")}, path)
    assert files.read_json(path) == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_is_not_json_is_named(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="a.json"):
        files.read_json(str(path))


def test_a_missing_file_is_named(tmp_path):
    for read in (files.read_json, files.read_array):
        with pytest.raises(UserError, match="nowhere"):
            read(str(tmp_path / "nowhere"))


def test_arrays(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(3))
    np.testing.assert_array_equal(files.read_array(str(path)), [0, 1, 2])
    for content in (b"", b"not an array"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot read .*a.npy"):
            files.read_array(str(path))
    with open(path, "wb") as file:
        np.savez(file, np.zeros(3))
    with pytest.raises(UserError, match="give an .npy array"):
        files.read_array(str(path))


def test_a_missing_folder_is_refused_before_the_work(tmp_path):
    files.check_parent_exists("record.json")
    files.check_parent_exists(str(tmp_path / "a.json"))
    with pytest.raises(UserError, match="make it"):
        files.check_parent_exists(str(tmp_path / "none" / "a.json"))


def test_files_that_cannot_be_read_or_written_are_named(tmp_path):
    files.check_exists(str(tmp_path), "--attack")
    with pytest.raises(UserError, match="--attack must .*none.npy', which"):
        files.check_exists(str(tmp_path / "none.npy"), "--attack")
    files.check_output(str(tmp_path / "a.npy"), ".npy", "--output")
    for name, message in (
        ("a.txt", "--output must end in .npy. Received: .*a.txt"),
        ("none/a.npy", "make it"),
    ):
        with pytest.raises(UserError, match=message):
            files.check_output(str(tmp_path / name), ".npy", "--output")


def test_sha256_of_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert files.sha256(str(path)).startswith("ba7816bf8f01cfea414140de5dae22")
