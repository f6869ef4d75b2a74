"""Times functions in turns, and writes the record of a benchmark."""

import dataclasses
import os
import resource
import statistics
import time

from absl import flags

from peernets_tf import records

# Flags defined here belong to the benchmark that calls the function.
flags.disclaim_key_flags()

# The first calls trace, choose kernels and touch new memory.
WARM_UP_ROUNDS = 2


@dataclasses.dataclass(frozen=True)
class Begun:
    """A benchmark that has begun.

    Attributes:
        output_dir: str, an existing folder for its record.
        load_average: float, the machine's load before it.
        time: float, when it began, by `time.monotonic()`.
    """

    output_dir: str
    load_average: float
    time: float


def define_output_dir(name):
    """Defines --output_dir.

    Args:
        name: str, the NAME in the record's file name, benchmark_NAME.json.
    """
    return flags.DEFINE_string(
        "output_dir",
        "results",
        f"Folder for benchmark_{name}.json (default: results).",
    )


def begin(output_dir):
    """Makes the folder of a record, and returns the `Begun` benchmark."""
    os.makedirs(output_dir, exist_ok=True)
    return Begun(output_dir, os.getloadavg()[0], time.monotonic())


def write_record(
    name,
    cases,
    *,
    rounds,
    begun,
    provenance,
    warm_up_rounds=WARM_UP_ROUNDS,
    versions=None,
    file_name=None,
):
    """Writes the record of a benchmark and prints its path.

    Args:
        name: str, the benchmark's module in this package.
        cases: list of dicts, see `records.BenchmarkRecord`.
        rounds: int, how often each function was timed.
        begun: the `Begun` benchmark.
        provenance: the `records.Provenance` of the run.
        warm_up_rounds: int, how often each function ran before it was timed.
        versions: dict of str, the versions of packages that only this benchmark
            uses.
        file_name: str or None, its file; None for benchmark_NAME.json.
    """
    versions = {**provenance.versions, **(versions or {})}
    record = records.BenchmarkRecord(
        name=name,
        cases=tuple(cases),
        rounds=rounds,
        warm_up_rounds=warm_up_rounds,
        load_average=begun.load_average,
        provenance=records.with_seconds(
            dataclasses.replace(provenance, versions=versions),
            time.monotonic() - begun.time,
        ),
    )
    path = os.path.join(begun.output_dir, file_name or f"benchmark_{name}.json")
    records.write(record, path)
    print(f"\nRecord: {path}")


def time_interleaved(
    functions, rounds, *, label, warm_up_rounds=WARM_UP_ROUNDS
):
    """Times functions in turns, A B C A B C, so that noise hits all alike.

    Prints one line per round.

    Args:
        functions: dict of functions without arguments, by name. Each returns
            when its work is done.
        rounds: int, how often each one is timed.
        label: str, the first words of each printed line.
        warm_up_rounds: int, how often each one runs before it is timed.

    Returns:
        A dict of lists of `rounds` seconds, by name.
    """
    for i in range(warm_up_rounds):
        print(f"{label}: warm-up {i + 1}/{warm_up_rounds}", flush=True)
        for function in functions.values():
            function()
    seconds = {name: [] for name in functions}
    for i in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            result = function()
            seconds[name].append(time.perf_counter() - start)
            # Freed here, so that the next function's time does not include it.
            del result
        times = ", ".join(
            f"{name} {times[-1]:.4f} s" for name, times in seconds.items()
        )
        print(f"{label}: round {i + 1}/{rounds}: {times}", flush=True)
    return seconds


def median_seconds(seconds):
    """Returns the median of each list of times, by name."""
    return {name: statistics.median(times) for name, times in seconds.items()}


def median_ratios(seconds, base):
    """Returns each function's time divided by that of `base`, by name.

    The ratio is taken within each round, whose noise both share; the median of
    the rounds is returned.
    """
    median_ratio = records.benchmark_tables.median_ratio
    return {name: median_ratio(seconds, name, base) for name in seconds}


def print_ratios(label, seconds, *bases):
    """Prints a table of median times and of their ratios.

    Args:
        label: str, the head of the first column, which names the functions.
        seconds: dict of lists of times, by name.
        *bases: str, the functions to whose times the others are compared, a
            column for each, see `records.benchmark_tables.ratio_text`.
    """
    ratio_text = records.benchmark_tables.ratio_text
    rows = [
        (
            name,
            f"{1000 * median:.1f}",
            *(ratio_text(seconds, name, base) for base in bases),
        )
        for name, median in median_seconds(seconds).items()
    ]
    columns = (label, "median ms", *(f"/ {base}" for base in bases))
    print(f"\n{records.tables.markdown_table(columns, rows)}", flush=True)


def pin(process, number):
    """Keeps a process on one core, where the system allows it.

    Args:
        process: the `subprocess.Popen`, just started.
        number: int, which of this process's cores, counted from 0; those after
            the last core share.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process.pid, {cores[number % len(cores)]})


def peak_mib():
    """Returns the peak resident memory of this process; Linux counts KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
