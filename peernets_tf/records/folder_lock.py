"""Who may write to a run's folder: one process, or its shards."""

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
_TURN_NAME = "turn"


@contextlib.contextmanager
def lock_folder(folder: str, shard: str | None = None) -> Iterator[None]:
    """Holds the lock of a run's folder, which is made if it is missing.

    The lock is the operating system's, on the file `lock` in the folder. It
    ends with the process, however that ends. Temporary files that a killed
    process left in the folder are removed.

    The shards of a run share that lock, and each holds another one of its own,
    on the file `lock-SHARD`. They remove no temporary files. On Windows, where
    locks cannot be shared, a shard does not keep out a run without shards.

    Args:
        folder: str, the run's output folder.
        shard: str or None, the name of the shard, such as `"1-of-2"`; None for
            the only process of the run.

    Raises:
        UserError: if another process, or another run of this process, holds
            the lock. The message names the process.
    """
    os.makedirs(folder, exist_ok=True)
    if shard is None:
        with _lock_or_refuse(folder, _NAME):
            files.remove_leftovers(folder)
            yield
    else:
        with (
            _lock_or_refuse(folder, _NAME, shared=True),
            _lock_or_refuse(folder, f"{_NAME}-{shard}"),
        ):
            yield


@contextlib.contextmanager
def take_turn(folder: str) -> Iterator[None]:
    """Holds a lock for what the shards of a run do one after the other.

    Waits for it, and says so, while another shard holds it. The lock is on the
    file `turn` in the folder, and ends with the process.

    Args:
        folder: str, the run's output folder, of which `lock_folder` is held.
    """
    with _open(os.path.join(folder, _TURN_NAME)) as descriptor:
        if not _lock(descriptor):
            print(f"Waiting for {_holder(descriptor)} in {folder}", flush=True)
            _wait_for_lock(descriptor)
        _describe(descriptor, _this_process())
        yield
        os.ftruncate(descriptor, 0)


@contextlib.contextmanager
def _lock_or_refuse(
    folder: str, name: str, *, shared: bool = False
) -> Iterator[None]:
    """Holds the lock on a file of a folder, or raises a `UserError`."""
    with _open(os.path.join(folder, name)) as descriptor:
        if not _lock(descriptor, shared=shared):
            raise UserError(
                f"{folder} is in use by {_holder(descriptor)}. Wait until it "
                "has ended, or give another --output_dir"
            )
        if shared:
            # Other shards may hold the lock longer: none writes its own name.
            _describe(descriptor, "a shard of the same run")
            yield
        else:
            _describe(descriptor, _this_process())
            yield
            # The file stays: removing it could remove the lock of a later
            # process.
            os.ftruncate(descriptor, 0)


@contextlib.contextmanager
def _open(path: str) -> Iterator[int]:
    """Gives the descriptor of a file to lock, which is made if missing."""
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool = False) -> bool:
    """Locks an open file, and returns whether no other process prevents it."""
    if sys.platform == "win32":
        try:
            if shared:
                # Windows shares no lock: a shard only sees that none is held.
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
            else:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
    else:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _wait_for_lock(descriptor: int) -> None:
    """Locks an open file as soon as no other process holds it."""
    if sys.platform == "win32":
        is_locked = False
        while not is_locked:
            # It gives up after ten seconds.
            with contextlib.suppress(OSError):
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                is_locked = True
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _describe(descriptor: int, holder: str) -> None:
    """Writes who holds the lock into its file."""
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{holder}\n".encode())


def _holder(descriptor: int) -> str:
    """Returns how the process that holds the lock describes itself."""
    try:
        text = os.read(descriptor, 200).decode(errors="replace").strip()
        # Whoever waits for the lock writes its own name next.
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:
        # Windows does not let others read a locked file.
        text = ""
    return text or "another process"
