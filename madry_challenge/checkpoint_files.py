"""The files of a TensorFlow 1 checkpoint, found without TensorFlow."""

import os
import re

from peernets_tf.errors import UserError

# The file `checkpoint` of a folder names the newest of its checkpoints.
_STATE = re.compile(r'^model_checkpoint_path: "([^"]+)"', re.MULTILINE)
_MAX_STATE_BYTES = 2**20


def prefix(path: str) -> str:
    """Returns the common prefix of a checkpoint's files.

    A folder that was moved is read, too: of the path in its file `checkpoint`
    only the name counts, and no other folder is looked at.

    Args:
        path: str, the prefix, or the folder of the files.

    Raises:
        UserError: if there is no such checkpoint.
    """
    found = _newest(path) if os.path.isdir(path) else path
    if found is None or not os.path.isfile(f"{found}.index"):
        missing = "its file checkpoint names none"
        if found is not None:
            missing = f"{found}.index does not exist"
        raise UserError(
            f"{path} is not a TensorFlow checkpoint ({missing}): give the "
            "folder or the prefix of one"
        )
    return found


def _newest(folder: str) -> str | None:
    """Returns the prefix that the file `checkpoint` names, or None."""
    try:
        with open(os.path.join(folder, "checkpoint"), "rb") as file:
            state = file.read(_MAX_STATE_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    named = _STATE.search(state)
    return named and os.path.join(folder, os.path.basename(named[1]))
