"""Runs the trials: `make trials`, or `PYTHONPATH=tests python -m trials`.

    PYTHONPATH=tests python -m trials --only=files --limit=10

Kills commands at random moments, calls them with wrong flags, and gives them
damaged files. Prints what failed, writes a record, and exits with status 1 if
anything failed.
"""

import os
import pathlib
import queue
import random
import shutil
import sys
import tempfile
import time
from concurrent import futures

from absl import flags

from peernets_tf import records
from peernets_tf.cli import app
from peernets_tf.errors import UserError
from trials import hostile_files, invocations, kills, samples
from trials.tally import Tally
from trials.trial import complaints
from trials.warm import Warm, run_cold

_KILLS = 150
_WORKERS = 2
_ROOT = pathlib.Path(__file__).resolve().parents[2]
# One of so many wrong command lines also runs in a process of its own.
_COLD_EVERY = 25
_METHOD = (
    "Commands run through their own main in forks of a process that has "
    "imported TensorFlow. A quarter of the kills, every "
    f"{_COLD_EVERY}th wrong command line or damaged file, and all wrong "
    "backends are of processes of their own."
)

_ONLY = flags.DEFINE_enum(
    "only",
    None,
    ["kills", "invocations", "files"],
    "Kind of trials to run (default: all).",
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of the moments and of the damage (default: 0).", 0
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    None,
    "Trials of each kind, drawn from all with --seed (default: all).",
    1,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The record to write (default: results/trials.json if all trials run, "
    "otherwise none).",
)


def _parse(arguments):
    app.refuse_arguments(arguments)
    if _OUTPUT.value and not os.path.isdir(
        os.path.dirname(_OUTPUT.value) or "."
    ):
        raise UserError(
            f"the folder of --output={_OUTPUT.value} is missing: make it"
        )
    return None


def _run(config, provenance):
    del config
    start = time.monotonic()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "tests")]),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    with tempfile.TemporaryDirectory(prefix="trials-") as folder:
        tally = Tally(folder)
        _try_all(pathlib.Path(folder), environment, tally)
    record = records.TrialsRecord(
        groups=tally.groups(),
        failures=tuple(tally.failures),
        workers=_WORKERS,
        method=_METHOD,
        provenance=records.with_seconds(provenance, time.monotonic() - start),
    )
    print("\n")
    for table in records.trials_tables.trials_tables(record)[:1]:
        print(table.markdown())
    print(f"{record.provenance.seconds:.0f} s")
    is_whole = not (_ONLY.value or _LIMIT.value)
    path = _OUTPUT.value or (str(_ROOT / "results/trials.json") * is_whole)
    if path:
        records.write(record, path)
        print(f"Record: {path}")
    if tally.failures:
        sys.exit(1)


def _try_all(root, environment, tally):
    """Runs all kinds of trials in a folder."""
    warm = [Warm(environment) for _ in range(_WORKERS)]
    (root / "samples").mkdir()
    valid = samples.make(root / "samples", warm[0])
    if _ONLY.value in (None, "kills"):
        kills.run_all(
            valid,
            environment,
            warm,
            kills=_LIMIT.value or _KILLS,
            seed=_SEED.value,
            done=lambda trial, count, seen: tally.add(
                trial.name, trial, seen, count
            ),
        )
    jobs = []
    if _ONLY.value in (None, "invocations"):
        jobs += [
            (f"wrong flags of {trial.module}", trial, None)
            for trial in _some(invocations.generate(valid, environment))
        ]
    if _ONLY.value in (None, "files"):
        jobs += [
            (f"damaged files for {file.trial.module}", file.trial, file)
            for file in _some(hostile_files.generate(valid, _SEED.value))
        ]
    idle = queue.SimpleQueue()
    for process in warm:
        idle.put(process)

    def run(numbered):
        number, (group, trial, file) = numbered
        folder = root / str(number)
        process = idle.get()
        try:
            is_cold = bool(trial.environment) or number % _COLD_EVERY == 0
            cold = environment if is_cold else None
            return (
                group,
                trial,
                _try_one(trial, file, valid, folder, cold, process),
            )
        finally:
            idle.put(process)

    with futures.ThreadPoolExecutor(_WORKERS) as pool:
        waiting = [pool.submit(run, numbered) for numbered in enumerate(jobs)]
        for future in futures.as_completed(waiting):
            tally.add(*future.result())
    for process in warm:
        process.close()


def _some(trials):
    """Returns all trials, or as many as --limit says, drawn with --seed."""
    if _LIMIT.value is None or _LIMIT.value >= len(trials):
        return trials
    return random.Random(_SEED.value).sample(trials, _LIMIT.value)


def _try_one(trial, file, valid, folder, environment, process):
    """Runs one trial in a new folder and returns what was wrong.

    Args:
        trial: the `Trial`.
        file: its `HostileFile`, or None.
        valid: the `Samples`.
        folder: the folder to make; it is removed again.
        environment: dict of str, the variables of a process of its own; None
            to run the trial in a fork of `process`.
        process: the `Warm` process.
    """
    folder.mkdir()
    if file is not None:
        file.prepare(valid, folder)
    if environment is None:
        outcome = process.run(trial, folder)
    else:
        outcome = run_cold(trial, folder, environment)
    seen = complaints(trial, outcome)
    if file is not None and hostile_files.ran_code(folder):
        seen.append("ran code of the file")
    shutil.rmtree(folder)
    return seen


COMMAND = app.Command(module="trials", parse=_parse, run=_run)

if __name__ == "__main__":
    app.main(COMMAND)
