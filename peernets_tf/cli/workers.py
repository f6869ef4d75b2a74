"""Runs a command in several processes of this machine, each with a shard."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from peernets_tf.errors import UserError

# How often a killed worker is started again.
_RESTARTS = 3
# In the environment of a worker only.
_MARK = "PEERNETS_WORKER"


def is_worker() -> bool:
    """Whether this process is a worker that `run` started."""
    return _MARK in os.environ


def run(module: str, arguments: Sequence[str], count: int) -> None:
    """Runs the shards 1/n to n/n of a command, and waits for all of them.

    Each worker computes on cores of its own, where there are enough and the
    system can say which. A worker that is killed is started again, and resumes.
    What workers print is printed with the number of the shard before it.

    Args:
        module: str, the command, which takes --shard.
        arguments: sequence of str, its flags without --shard.
        count: int, n.

    Raises:
        UserError: if a worker fails, or is killed four times. The others are
            stopped, as they are after Ctrl-C and SIGTERM.
    """
    cores = _shares_of_cores(count)
    with contextlib.ExitStack() as stack:
        received = stack.enter_context(_signals())
        workers = [
            stack.enter_context(
                _stopped(_Worker(module, arguments, number, count, share))
            )
            for number, share in enumerate(cores, start=1)
        ]
        # Only now, so that whatever happens, all that have started are stopped.
        for worker in workers:
            worker.start()
            _end_after(received)
        # One that waits for another's batches ends after it, so all must be
        # looked at in turns.
        running = list(workers)
        while running:
            running = [worker for worker in running if worker.goes_on(received)]


class _Worker:
    """A process with one shard of a command."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        number: int,
        count: int,
        cores: frozenset[int],
    ) -> None:
        self._shard = f"{number}/{count}"
        self._command = [sys.executable, "-m", module, *arguments]
        self._command.append(f"--shard={self._shard}")
        self._cores = cores
        self._restarts = 0
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._last_error = ""
        self._pipe_is_closed = False

    def start(self) -> None:
        """Starts the process."""
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, _MARK: self._shard},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        if self._cores:
            # Before it imports the backend, which counts its cores then.
            os.sched_setaffinity(self._process.pid, self._cores)
        self._last_error = ""
        self._readers = [
            threading.Thread(target=self._print, args=streams, daemon=True)
            for streams in (
                (self._process.stdout, sys.stdout),
                (self._process.stderr, sys.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()

    def goes_on(self, received: list[int]) -> bool:
        """Waits a little, and returns whether the worker is still running.

        Args:
            received: list of ints, the signals to end that this process has
                received.

        Raises:
            UserError: if it failed.
            BrokenPipeError: if nobody reads what this process prints.
        """
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.2)
        if self._pipe_is_closed:
            raise BrokenPipeError
        # Ctrl-C in a terminal ends the worker, too.
        _end_after(received)
        status = self._process.returncode
        if status is None:
            return True
        for reader in self._readers:
            reader.join()
        if status == 0:
            return False
        if status < 0 and self._restarts < _RESTARTS:
            self._restarts += 1
            print(
                f"[{self._shard}] was killed (signal {-status}) and is started "
                "again",
                flush=True,
            )
            self.start()
            return True
        if self._last_error:
            raise UserError(f"worker {self._shard} failed: {self._last_error}")
        raise UserError(
            f"worker {self._shard} must end with status 0. Received: {status}. "
            "Give the same command again to resume"
        )

    def stop(self) -> None:
        """Ends the worker as Ctrl-C does."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        for reader in self._readers:
            reader.join()

    def _print(self, lines: IO[str], stream: IO[str]) -> None:
        for line in lines:
            if line.startswith("error: "):
                # It is in the error of this process.
                self._last_error = line.removeprefix("error: ").strip()
            elif line.strip() and not self._pipe_is_closed:
                # The worker would wait for ever if nobody read its lines.
                try:
                    stream.write(f"[{self._shard}] {line}")
                    stream.flush()
                except BrokenPipeError:
                    self._pipe_is_closed = True


@contextlib.contextmanager
def _stopped(worker: _Worker) -> Iterator[_Worker]:
    """Stops a worker at the end of the block."""
    try:
        yield worker
    finally:
        worker.stop()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects Ctrl-C and SIGTERM, by which batch schedulers end a command.

    An exception raised by their handlers could be lost: Python prints and
    forgets it if it interrupts a finalizer.
    """
    received: list[int] = []
    handlers = {signal.SIGTERM: signal.getsignal(signal.SIGTERM)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Otherwise the process was started to ignore Ctrl-C.
        handlers[signal.SIGINT] = signal.default_int_handler
    for number in handlers:
        signal.signal(number, lambda signum, _: received.append(signum))
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end_after(received: list[int]) -> None:
    """Ends the command if it received a signal to end."""
    if signal.SIGTERM in received:
        sys.exit(128 + signal.SIGTERM)
    if received:
        raise KeyboardInterrupt


def _shares_of_cores(count: int) -> list[frozenset[int]]:
    """Returns the cores of each worker; all empty if they cannot be shared."""
    if not hasattr(os, "sched_getaffinity"):
        return [frozenset()] * count
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count:
        return [frozenset()] * count
    return [frozenset(cores[i::count]) for i in range(count)]
