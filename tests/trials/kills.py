"""Kills: runs that are killed again and again, and must end as if never.

A run of each command is made once without a kill. Then the same command runs
in another folder and is killed at moments drawn from a seed: after some time,
when its output has reached some length, or when the folder has changed some
number of times, which is while a file is written. It starts again until it has
been killed often enough, then it finishes. Its records, counts and hashes must
be those of the first run, bit for bit, and no other file may be left.
"""

import contextlib
import dataclasses
import os
import pathlib
import queue
import random
import signal
import sys
import threading
import time
from concurrent import futures
from functools import partial

from trials import remains
from trials.trial import Trial, last_line
from trials.warm import run_cold

KILLS_PER_RUN = 8
# Of the processes that are killed, those that also import TensorFlow. The
# others are forks of a process that has.
_COLD_SHARE = 0.25
_IMPORT_SECONDS = 4.0
# The first second of a process is Python's own start, which no command sees.
_EARLIEST = 1.0
_POLL_SECONDS = 0.002
_LIMIT_SECONDS = 300
# Three of four kills give a process no chance to tidy up.
_SIGNALS = 6 * [signal.SIGKILL] + [signal.SIGINT, signal.SIGTERM]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A command that is killed.

    Attributes:
        module: str, its module.
        arguments: tuple of str, its flags without --output_dir.
        share: int, its part of all runs.
        command: str, the command that it is; empty for `module` itself.
    """

    module: str
    arguments: tuple[str, ...]
    share: int
    command: str = ""

    def trial(self, folder: str) -> Trial:
        """Returns the command line that writes to a folder."""
        return Trial(
            name=f"kills of {self.command or self.module}",
            module=self.module,
            arguments=(*self.arguments, f"--output_dir={folder}"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """What a run left that was not killed.

    Attributes:
        seconds: float, its wall time.
        output: int, the bytes that it printed.
        changes: int, how often its folder was seen to change.
        remains: dict, see `remains.of`.
    """

    seconds: float
    output: int
    changes: int
    remains: dict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moment:
    """When and how a process is killed: at the first of these that comes.

    Attributes:
        signal: the signal.
        seconds: float, the time since its start.
        output: int, the bytes that it printed.
        changes: int, the changes of its folder.
    """

    signal: signal.Signals
    seconds: float = float("inf")
    output: int = sys.maxsize
    changes: int = sys.maxsize

    def __str__(self):
        when = {
            "s after its start": self.seconds,
            "bytes of output": self.output,
            "changes of its folder": self.changes,
        }
        unit, value = min(when.items(), key=lambda item: item[1])
        return f"{self.signal.name} at {value:.4g} {unit}"


def runs(samples):
    """Returns the `Run`s of all commands that resume."""
    return [
        Run(
            module="peernets_tf.train",
            arguments=(*samples.train, "--epochs=4"),
            share=3,
        ),
        Run(module="peernets_tf.evaluate", arguments=samples.evaluate, share=3),
        Run(
            module="madry_challenge.train",
            arguments=samples.challenge,
            share=3,
        ),
        # The command itself, with small networks in place of ResNet-32.
        Run(
            module="trials.small_compare",
            arguments=(
                "--budget=smoke",
                f"--dataset={samples.path('color.npz')}",
                "--num_peers=8",
                "--num_steps=1",
            ),
            share=2,
            command="madry_challenge.compare",
        ),
    ]


def run_all(samples, environment, warm, *, kills, seed, done):
    """Kills runs until there were enough kills, one run per warm process.

    Args:
        samples: the `Samples`.
        environment: dict of str, the environment of the processes.
        warm: list of `Warm` processes.
        kills: int, the number of kills.
        seed: int, the seed of the moments.
        done: function that is called after each run with its `Trial`, the
            number of its kills, and a list of complaints.
    """
    root = samples.root / "kills"
    root.mkdir()
    idle = queue.SimpleQueue()
    for process in warm:
        idle.put(process)

    def borrow(work, *arguments):
        process = idle.get()
        try:
            return work(*arguments, process)
        finally:
            idle.put(process)

    with futures.ThreadPoolExecutor(len(warm)) as pool:
        every = runs(samples)
        folders = [root / f"whole_{i}" for i in range(len(every))]
        wholes = pool.map(partial(borrow, _whole), every, folders)
        pairs = list(zip(every, wholes, strict=True))
        plan = [
            (run, whole)
            for turn in range(max(run.share for run in every))
            for run, whole in pairs
            if turn < run.share
        ]
        countdown = _Countdown(kills)
        pending, number = set(), 0
        while countdown.left > 0 or pending:
            while countdown.left > 0 and len(pending) < len(warm):
                killed = _KilledRun(
                    *plan[number % len(plan)],
                    folder=root / str(number),
                    environment=environment,
                    rng=random.Random(f"{seed} {number}"),
                )
                pending.add(pool.submit(borrow, killed.make, countdown))
                number += 1
            finished, pending = futures.wait(
                pending, return_when=futures.FIRST_COMPLETED
            )
            for future in finished:
                done(*future.result())


class _Countdown:
    """The kills that are left, counted down by several threads."""

    def __init__(self, count):
        self.left = count
        self._lock = threading.Lock()

    def take(self):
        """Counts one kill down."""
        with self._lock:
            self.left -= 1


def _whole(run, folder, process):
    """Makes a run without a kill and returns the `Whole`."""
    folder.mkdir()
    watch = Watcher(folder, Moment(signal=signal.SIGKILL))
    trial = run.trial("out")
    outcome = process.run(trial, folder, limit=_LIMIT_SECONDS, watch=watch)
    if outcome.status != 0:
        raise RuntimeError(f"{trial.command_line}:\n{outcome.stderr}")
    return Whole(
        seconds=outcome.seconds,
        output=outcome.output,
        changes=watch.changes,
        remains=remains.of(folder / "out"),
    )


@dataclasses.dataclass
class _KilledRun:
    """A run that is killed often, then finished, then compared."""

    run: Run
    whole: Whole
    folder: pathlib.Path
    environment: dict[str, str]
    rng: random.Random

    def make(self, countdown, process):
        """Makes the run.

        Args:
            countdown: the `_Countdown` of all kills.
            process: the `Warm` process.

        Returns:
            The `Trial`, the number of kills, and a list of complaints.
        """
        self.folder.mkdir()
        trial = self.run.trial("out")
        found, moments = [], []
        while len(moments) < KILLS_PER_RUN and countdown.left > 0:
            is_cold = self.rng.random() < _COLD_SHARE
            moment = self._draw(is_cold)
            watch = Watcher(self.folder, moment)
            outcome = self._start(trial, None if is_cold else process, watch)
            # It may have ended by itself just before the signal.
            if not watch.has_killed or outcome.status == 0:
                if outcome.status != 0:
                    found.append(_failed(outcome))
                break
            moments.append(f"{moment}{' of a new process' * is_cold}")
            countdown.take()
            if "Traceback" in outcome.stderr:
                line = last_line(outcome.stderr)
                found.append(f"{moments[-1]}: traceback {line}")
        outcome = self._start(trial, process, None)
        if outcome.status != 0:
            found.append(_failed(outcome))
        else:
            left = remains.of(self.folder / "out")
            found += remains.differences(self.whole.remains, left)
        if found:
            found.append(f"killed by {'; '.join(moments)}")
        return trial, len(moments), found

    def _start(self, trial, process, watch):
        """Runs the command in a fork of a process, or in a new one for None."""
        options = {"limit": _LIMIT_SECONDS, "watch": watch}
        if process is None:
            return run_cold(trial, self.folder, self.environment, **options)
        return process.run(trial, self.folder, **options)

    def _draw(self, is_cold):
        """Returns a `Moment`, more often an early one: little may be left."""
        name = self.rng.choice(_SIGNALS)
        kind = self.rng.randrange(3)
        part = self.rng.random() ** 2
        if kind == 0:
            first, last = 0.0, self.whole.seconds
            if is_cold:
                first, last = _EARLIEST, _EARLIEST + _IMPORT_SECONDS + last
            seconds = first + part * (last - first)
            return Moment(signal=name, seconds=seconds)
        if kind == 1:
            output = 1 + round(part * self.whole.output)
            return Moment(signal=name, output=output)
        return Moment(
            signal=name, changes=1 + round(part * (self.whole.changes - 1))
        )


def _failed(outcome):
    return f"exit status {outcome.status}: {last_line(outcome.stderr)}"


class Watcher:
    """Watches the folder and the output of a process; kills it at a moment.

    Args:
        folder: the folder in which the process runs.
        moment: the `Moment`.

    Attributes:
        changes: int, how often files came or went.
        has_killed: bool, whether the signal was sent.
    """

    def __init__(self, folder, moment):
        self.changes = 0
        self.has_killed = False
        self._folder = folder
        self._stdout = folder.with_name(f"{folder.name}.stdout")
        self._moment = moment

    def __call__(self, pid, ended):
        """Watches until the process has ended or is killed."""
        start, seen, moment = (
            time.monotonic(),
            _names(self._folder),
            self._moment,
        )
        while not ended.wait(_POLL_SECONDS):
            names = _names(self._folder)
            self.changes += names != seen
            seen = names
            if (
                time.monotonic() - start >= moment.seconds
                or self._printed() >= moment.output
                or self.changes >= moment.changes
            ):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, moment.signal)
                    self.has_killed = True
                return

    def _printed(self):
        """Returns the bytes of output; 0 before the process has opened it."""
        try:
            return self._stdout.stat().st_size
        except FileNotFoundError:
            return 0


def _names(folder: pathlib.Path):
    """Returns the paths of all files below a folder, as they are now."""
    return {
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
    }
