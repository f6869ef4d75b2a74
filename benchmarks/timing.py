"""Times functions side by side, and the record of such a run."""

import dataclasses
import os
import statistics
import time

from peernets_tf import command, results

# The first calls trace, choose kernels and touch new memory.
WARM_UP_ROUNDS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """What one run of a benchmark measured.

    Attributes:
        cases: list of dicts, one for each size or pair: what was timed, all
            times in `seconds` by name, their medians in `median_seconds`, and
            ratios.
        rounds: int, how often each function was timed.
        warm_up_rounds: int, rounds before those.
        load_average: float, the processes that were running on the machine in
            the minute before; close to 0 on an idle one.
        seed: int, the seed of the made-up data.
        command: str, what reproduces the run.
        commit: str, the version of the code.
        versions: dict of str, of the packages that matter.
        device: str, what it ran on.
    """

    cases: list
    rounds: int
    warm_up_rounds: int
    load_average: float
    seed: int
    command: str
    commit: str
    versions: dict
    device: str


def write_record(
    name, cases, *, rounds, load_average, seed, output_dir, versions=None
):
    """Writes OUTPUT_DIR/benchmark_NAME.json, and says where it lies.

    Args:
        name: str, the benchmark's module in this package.
        cases: list of dicts, see `BenchmarkResult`.
        rounds: int, how often each function was timed.
        load_average: float, from before the first was.
        seed: int, the seed of the made-up data.
        output_dir: str, an existing folder.
        versions: dict of str, of packages that only this benchmark uses.
    """
    environment = results.environment()
    environment["versions"].update(versions or {})
    record = BenchmarkResult(
        cases=cases,
        rounds=rounds,
        warm_up_rounds=WARM_UP_ROUNDS,
        load_average=load_average,
        seed=seed,
        command=command.line(f"benchmarks.{name}"),
        **environment,
    )
    path = os.path.join(output_dir, f"benchmark_{name}.json")
    results.write_json(record, path)
    print(f"\nRecord: {path}")


def time_interleaved(
    functions, rounds, *, label, warm_up_rounds=WARM_UP_ROUNDS
):
    """Times functions in turns, A B C A B C, so that noise hits all alike.

    Prints one line a round.

    Args:
        functions: dict of functions without arguments, by name. Each returns
            when its work is done.
        rounds: int, how often each one is timed.
        label: str, what the printed lines start with.
        warm_up_rounds: int, how often each one runs before.

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
            # Not within the time of the next function.
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
    """Returns each function's time over that of `base`, by name.

    The ratio is taken within each round, whose noise both share, and is the
    median over the rounds.
    """
    return {
        name: statistics.median(
            own / other for own, other in zip(times, seconds[base], strict=True)
        )
        for name, times in seconds.items()
    }
