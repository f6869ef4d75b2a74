"""Runs commands in forks of one process that has imported TensorFlow already.

Starting TensorFlow takes seconds, most of each trial. A fork starts where the
imports have ended: it runs the command's module as `python -m` does, in a
folder of its own, with its own standard streams, and ends with its own exit
status. TensorFlow has run nothing before a fork, so it has no threads to lose.

`Warm` is the side that asks. `python -m trials.warm` is the side that answers:
one JSON object per line, in and out.
"""

import contextlib
import importlib
import json
import os
import pathlib
import pkgutil
import resource
import runpy
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable

from trials.trial import COMMANDS, Outcome, Trial

# TensorFlow reserves much more address space than it uses.
_ADDRESS_SPACE = 24 * 2**30
_POLL_SECONDS = 0.005
Watch = Callable[[int, threading.Event], None]


class Warm:
    """A process that runs trials in its forks, one after the other.

    Args:
        environment: dict of str, its variables and those of its forks.
    """

    def __init__(self, environment):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trials.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )

    def run(
        self,
        trial: Trial,
        folder: pathlib.Path,
        *,
        limit: float = 60,
        watch: Watch | None = None,
    ) -> Outcome:
        """Runs a trial in a folder.

        Args:
            trial: the `Trial`; its environment is not used.
            folder: an existing folder, the command's working directory. Its
                standard streams go to files beside the folder.
            limit: float, seconds until it is killed.
            watch: function that is called in a thread with the id of the
                process and an event that is set when it has ended.
        """
        before = listing(folder)
        for stream in _streams(folder):
            # Nobody may take the output of an earlier start for this one's.
            stream.write_bytes(b"")
        request = {
            "module": trial.module,
            "arguments": trial.arguments,
            "folder": str(folder),
            "limit": limit,
        }
        print(json.dumps(request), file=self._process.stdin, flush=True)
        pid = int(self._process.stdout.readline())
        with _watched(pid, watch):
            answer = json.loads(self._process.stdout.readline())
        return _outcome(folder, before, **answer)

    def close(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def run_cold(
    trial: Trial,
    folder: pathlib.Path,
    environment: dict[str, str],
    *,
    limit: float = 120,
    watch: Watch | None = None,
) -> Outcome:
    """Runs a trial as a user does, in a new process; see `Warm.run`."""
    before = listing(folder)
    start = time.monotonic()
    out, err = _streams(folder)
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", trial.module, *trial.arguments],
            cwd=folder,
            env={**environment, **trial.environment},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        with _watched(process.pid, watch):
            answer = _wait(process.pid, start, limit)
        # `_wait` has taken the exit status that Popen would wait for.
        process.returncode = answer["status"] or 0
    return _outcome(folder, before, **answer)


@contextlib.contextmanager
def _watched(pid, watch):
    """Calls `watch` in a thread while the process runs."""
    if watch is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=watch, args=(pid, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _outcome(folder, before, status, memory, seconds):
    """Returns the `Outcome` of a command that ran in a folder."""
    stdout, stderr = _streams(folder)
    after = listing(folder)
    return Outcome(
        status=status,
        stderr=stderr.read_text("utf-8", errors="replace"),
        memory=memory,
        output=stdout.stat().st_size,
        seconds=seconds,
        written=tuple(n for n in after if after[n] != before.get(n)),
    )


def listing(folder: pathlib.Path):
    """Returns the size and time of each file below a folder, by its path."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = pathlib.Path(parent, name)
            status = path.lstat()
            is_folder = path.is_dir()
            found[str(path.relative_to(folder))] = is_folder or (
                status.st_size,
                status.st_mtime_ns,
            )
    return found


def _streams(folder):
    """Returns the files of a command's output and errors."""
    return (
        folder.with_name(f"{folder.name}.stdout"),
        folder.with_name(f"{folder.name}.stderr"),
    )


def _wait(pid, start, limit):
    """Waits for a child, kills it at the limit, and returns what it used."""
    status = None
    while True:
        done, code, usage = os.wait4(pid, os.WNOHANG)
        seconds = time.monotonic() - start
        if done:
            status = os.waitstatus_to_exitcode(code)
            break
        if seconds > limit:
            os.kill(pid, 9)
            _, _, usage = os.wait4(pid, 0)
            break
        time.sleep(_POLL_SECONDS)
    memory = usage.ru_maxrss * 1024
    return {"status": status, "memory": memory, "seconds": seconds}


def _serve():
    """Answers requests from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _import_everything()
    for line in sys.stdin:
        request = json.loads(line)
        limit = request.pop("limit")
        start = time.monotonic()
        pid = os.fork()
        if not pid:
            _become(**request)
        print(pid, file=answers, flush=True)
        print(json.dumps(_wait(pid, start, limit)), file=answers, flush=True)


def _import_everything():
    """Imports all that commands import, but no command: they define flags."""
    import keras
    import tensorflow as tf

    import madry_challenge
    import peernets_tf

    del keras, tf
    for package in (peernets_tf, madry_challenge):
        for module in pkgutil.walk_packages(
            package.__path__, f"{package.__name__}."
        ):
            is_script = module.name.endswith("__main__")
            if module.name not in COMMANDS and not is_script:
                importlib.import_module(module.name)


def _become(module, arguments, folder):
    """Turns a fork into the process of a command; does not return."""
    path = pathlib.Path(folder)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, stream in enumerate(_streams(path), start=1):
        mode = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(stream, mode), number)
    os.chdir(path)
    sys.argv = [module, *arguments]
    status = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
