"""The prefix of a TensorFlow 1 checkpoint, and what is not one."""

import pytest

from madry_challenge import checkpoint_files
from peernets_tf.errors import UserError


def write_state(folder, named):
    state = f'model_checkpoint_path: "{named}"\n'
    state += 'all_model_checkpoint_paths: "older-1"\n'
    (folder / "checkpoint").write_text(state)


def test_a_folder_and_a_prefix(tmp_path):
    prefix = str(tmp_path / "checkpoint-70000")
    (tmp_path / "checkpoint-70000.index").touch()
    assert checkpoint_files.prefix(prefix) == prefix
    # Another machine's folder does not matter.
    for named in ("checkpoint-70000", "/home/a/run/checkpoint-70000"):
        write_state(tmp_path, named)
        assert checkpoint_files.prefix(str(tmp_path)) == prefix


@pytest.mark.parametrize(
    "named", [None, "newer-2", "/etc/passwd", "../above", "", "checkpoint"]
)
def test_no_checkpoint(tmp_path, named):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "above.index").touch()
    if named is not None:
        write_state(folder, named)
    with pytest.raises(UserError, match="give the folder or the prefix of one"):
        checkpoint_files.prefix(str(folder))


def test_a_missing_path(tmp_path):
    with pytest.raises(UserError, match="none.index does not exist"):
        checkpoint_files.prefix(str(tmp_path / "none"))
