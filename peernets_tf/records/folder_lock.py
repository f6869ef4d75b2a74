"""One process at a time writes to a run's folder."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator

from peernets_tf import files
from peernets_tf.errors import UserError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NAME = "lock"


@contextlib.contextmanager
def lock_folder(folder: str) -> Iterator[None]:
    """Holds the lock of a run's folder, which is made if it is missing.

    The lock is the operating system's, on the file `lock` in the folder. It
    ends with the process, however that ends. Temporary files that a killed
    process left in the folder are removed.

    Args:
        folder: str, the run's output folder.

    Raises:
        UserError: if another process, or another run of this process, holds
            the lock. The message names the process.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, _NAME)
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            raise UserError(
                f"{folder} is in use by {_holder(descriptor)}. Wait until it "
                "has ended, or give another --output_dir"
            ) from error
        os.ftruncate(descriptor, 0)
        holder = f"process {os.getpid()} on {socket.gethostname()}\n"
        os.write(descriptor, holder.encode())
        files.remove_leftovers(folder)
        yield
        # The file stays: removing it could remove the lock of a later process.
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Locks an open file, or raises a `BlockingIOError`."""
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(descriptor: int) -> str:
    """Returns how the process that holds the lock describes itself."""
    try:
        text = os.read(descriptor, 200).decode(errors="replace").strip()
    except OSError:
        # Windows does not let others read a locked file.
        text = ""
    return text or "another process"
