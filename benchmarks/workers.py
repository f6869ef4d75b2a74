"""Times an evaluation in two processes: `python -m benchmarks.workers`.

PGD with 20 steps at 8/255 attacks test images of CIFAR-10 on the published
ResNet-32. The processes are those of `python -m peernets_tf.evaluate
--shard=i/n`, each on one core of its own. One process and two take turns. Their
times are those of the evaluation, of which the process that ends last notes its
own, without the start of Python and TensorFlow.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile

from absl import flags

from benchmarks import timing
from peernets_tf import records
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError

_DATA_DIR = shared_flags.define_data_dir()
_IMAGES = flags.DEFINE_integer(
    "images", 300, "Test images, in batches of 50 (default: 300).", 100
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 3, "How often each number of processes is timed (default: 3).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("workers")
_COUNTS = {"1 process": 1, "2 processes": 2}
_BATCH_SIZE = 50
_STEPS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    data_dir: str | None
    images: int
    rounds: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        data_dir=_DATA_DIR.value,
        images=_IMAGES.value,
        rounds=_ROUNDS.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Times the evaluations and writes the record."""
    has_affinity = hasattr(os, "sched_getaffinity")
    if not has_affinity or len(os.sched_getaffinity(0)) < 2:
        raise UserError(
            "the benchmark needs two cores, and a system that assigns them to "
            "processes, such as Linux"
        )
    begun = timing.begin(config.output_dir)
    seconds = {name: [] for name in _COUNTS}
    for i in range(config.rounds):
        for name, count in _COUNTS.items():
            seconds[name].append(_evaluate(config, count))
        times = ", ".join(f"{n} {t[-1]:.1f} s" for n, t in seconds.items())
        print(f"round {i + 1}/{config.rounds}: {times}", flush=True)
    case = {
        "attack": f"PGD-{_STEPS}",
        "network": "resnet32",
        "images": config.images,
        "batch_size": _BATCH_SIZE,
        "cores_for_each_process": 1,
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_two_processes": timing.median_ratios(seconds, "2 processes"),
    }
    timing.print_ratios(case["attack"], seconds, "2 processes")
    timing.write_record(
        "workers",
        [case],
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
        warm_up_rounds=0,
    )


def _evaluate(config, count):
    """Returns the seconds of an evaluation by a number of processes.

    They are those of the process that ends last, which writes the record.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "peernets_tf.evaluate", "--attack=pgd"),
            "--checkpoint=cifar10_resnet32",
            f"--steps={_STEPS}",
            f"--test_size={config.images}",
            f"--batch_size={_BATCH_SIZE}",
            f"--seed={config.seed}",
            f"--output_dir={folder}",
        ]
        if config.data_dir is not None:
            command.append(f"--data_dir={config.data_dir}")
        processes = []
        for number in range(count):
            process = subprocess.Popen(
                [*command, f"--shard={number + 1}/{count}"],
                stdout=subprocess.DEVNULL,
            )
            timing.pin(process, number)
            processes.append(process)
        if any([process.wait() for process in processes]):
            raise UserError(
                "an evaluation failed: see its error above, and give "
                "--data_dir if the data set is missing"
            )
        record = records.read(os.path.join(folder, "record.json"))
        return record.provenance.seconds


COMMAND = app.Command(module="benchmarks.workers", parse=_parse, run=benchmark)

if __name__ == "__main__":
    app.main(COMMAND)
