"""Kills: runs that are killed again and again, and must end as if never.

A run of each command is made once without a kill. Then the same command runs
in another folder and is killed at moments drawn from a seed: after some time,
when its output has reached some length, or when the folder has changed some
number of times, which is while a file is written. It starts again until it has
been killed often enough, then it finishes. Its records, counts and hashes must
be those of the first run, bit for bit, and no other file may be left.
"""

import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures

from trials import remains
from trials.trial import Trial, last_line
from trials.warm import run_cold

KILLS_PER_RUN = 6
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


def run_all(samples, environment, *, kills, workers, seed, done):
    """Kills runs until there were enough kills.

    Args:
        samples: the `Samples`.
        environment: dict of str, the environment of the processes.
        kills: int, the number of kills.
        workers: int, processes at a time.
        seed: int, the seed of the moments.
        done: function, called with a `Trial`, the kills of its run and a list
            of complaints after each run.
    """
    every = runs(samples)
    root = samples.root / "kills"
    root.mkdir()
    with futures.ThreadPoolExecutor(workers) as pool:
        wholes = list(
            pool.map(
                lambda run: _whole(
                    run, root / f"whole_{run.module}", environment
                ),
                every,
            )
        )
        plan = [
            (run, whole)
            for run, whole in zip(every, wholes, strict=True)
            for _ in range(run.share)
        ]
        remaining = _Countdown(kills)
        number = 0
        pending = set()
        while remaining.left > 0 or pending:
            while remaining.left > 0 and len(pending) < workers:
                run, whole = plan[number % len(plan)]
                rng = random.Random(f"{seed} {number}")
                pending.add(
                    pool.submit(
                        _killed_run,
                        run,
                        whole,
                        root / str(number),
                        environment,
                        rng,
                        remaining,
                    )
                )
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


def _whole(run, folder, environment):
    """Makes a run without a kill and returns the `Whole`."""
    folder.mkdir()
    # Nothing ends this run, and its folder and output are watched as later.
    never = Moment(signal=signal.SIGKILL)
    end = _start(run.trial("out"), folder, environment, never)
    if end.status != 0:
        raise RuntimeError(f"{run.module} failed:\n{end.stderr}")
    return Whole(
        seconds=end.seconds,
        output=end.output,
        changes=end.changes,
        remains=remains.of(folder / "out"),
    )


def _killed_run(run, whole, folder, environment, rng, remaining):
    """Kills a run often, lets it finish, and compares what it left.

    Returns:
        The `Trial`, the number of kills, and a list of complaints.
    """
    folder.mkdir()
    trial = run.trial("out")
    found, kills = [], []
    while len(kills) < KILLS_PER_RUN and remaining.left > 0:
        moment = _draw(whole, rng)
        end = _start(trial, folder, environment, moment)
        if not end.was_killed:
            if end.status != 0:
                found.append(f"status {end.status}: {last_line(end.stderr)}")
            break
        kills.append(str(moment))
        remaining.take()
        if "Traceback" in end.stderr:
            found.append(f"{moment}: traceback {last_line(end.stderr)}")
    # Also if it was finished before: a finished run must come to the same.
    outcome = run_cold(trial, folder, environment, _LIMIT_SECONDS)
    if outcome.status != 0:
        found.append(f"status {outcome.status}: {last_line(outcome.stderr)}")
    else:
        found += remains.differences(whole.remains, remains.of(folder / "out"))
    if found:
        found.append(f"killed by {'; '.join(kills)}")
    return trial, len(kills), found


def _draw(whole, rng):
    """Returns a `Moment` before the end of a whole run."""
    name = rng.choice(_SIGNALS)
    kind = rng.randrange(3)
    if kind == 0:
        latest = max(whole.seconds, _EARLIEST)
        return Moment(signal=name, seconds=rng.uniform(_EARLIEST, latest))
    if kind == 1:
        return Moment(signal=name, output=rng.randint(1, max(whole.output, 1)))
    return Moment(signal=name, changes=rng.randint(1, max(whole.changes, 1)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _End:
    """How a process ended, and how far it had come."""

    status: int
    was_killed: bool
    stderr: str
    seconds: float
    output: int
    changes: int


def _start(trial, folder, environment, moment):
    """Runs a command and kills it at a moment; returns the `_End`."""
    start = time.monotonic()
    changes, seen, was_killed = 0, None, False
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", trial.module, *trial.arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        while process.poll() is None:
            names = _names(folder)
            changes += seen is not None and names != seen
            seen = names
            seconds = time.monotonic() - start
            if not was_killed and (
                seconds >= moment.seconds
                or os.fstat(stdout.fileno()).st_size >= moment.output
                or changes >= moment.changes
            ):
                process.send_signal(moment.signal)
                was_killed = True
            if seconds > _LIMIT_SECONDS:
                process.kill()
            time.sleep(_POLL_SECONDS)
        stderr.seek(0)
        return _End(
            status=process.returncode,
            # It may have ended by itself just before the signal.
            was_killed=was_killed and process.returncode != 0,
            stderr=stderr.read().decode("utf-8", errors="replace"),
            seconds=time.monotonic() - start,
            output=os.fstat(stdout.fileno()).st_size,
            changes=changes,
        )


def _names(folder: pathlib.Path):
    """Returns the names of all files below a folder, as they are now."""
    return {
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
    }
