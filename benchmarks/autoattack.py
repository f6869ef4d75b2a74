"""Compares AutoAttack with torchattacks': `python -m benchmarks.autoattack`.

The attacks of both attack the same test images on the same weights: ours on
Keras's TensorFlow backend, those of torchattacks on its PyTorch backend. Each
attack attacks all images; `worst case` counts the images that stand against all
four attacks of AutoAttack's standard version. Each attack of each side is a
process on the CPU. Two run at a time, each on one core where there are two.

It needs `pip install torch torchattacks`. With 500 images and 5,000 queries it
takes two hours on two cores; with --work_dir it leaves out the attacks that are
complete.
"""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from benchmarks import autoattack_side, timing
from peernets_tf import records
from peernets_tf.cli import app, numbers, shared_flags
from peernets_tf.errors import UserError

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    "cifar10_resnet32",
    "A preset, or a .keras file that needs no peers (default: "
    "cifar10_resnet32).",
)
_DATASET = shared_flags.define_dataset("cifar10", "cifar10")
_DATA_DIR = shared_flags.define_data_dir()
_IMAGES = flags.DEFINE_integer(
    "images", 500, "Test images, the first ones (default: 500).", 1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 100, "Images that are attacked at once (default: 100).", 1
)
_NORM = flags.DEFINE_enum(
    "norm", "linf", ["linf", "l2"], "Norm of the ball (default: linf)."
)
_EPSILON = flags.DEFINE_string(
    "epsilon",
    "1/255",
    "Radius of the ball for images in [0, 1] (default: 1/255).",
)
_STEPS = flags.DEFINE_integer(
    "steps", 100, "Steps of APGD and FAB (default: 100).", 1
)
_QUERIES = flags.DEFINE_integer(
    "queries", 5000, "Queries of Square (default: 5000).", 1
)
_SEED = shared_flags.define_seed()
_WORK_DIR = flags.DEFINE_string(
    "work_dir",
    None,
    "Folder of what each attack left, from which an interrupted run goes on "
    "(default: a temporary folder).",
)
_OUTPUT_DIR = timing.define_output_dir("autoattack_CHECKPOINT")
_SECONDS_BETWEEN_LOOKS = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    checkpoint: str
    dataset: str
    data_dir: str | None
    images: int
    batch_size: int
    norm: str
    epsilon: float
    steps: int
    queries: int
    seed: int
    work_dir: str | None
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    shared_flags.check_model(_CHECKPOINT.value, "--checkpoint")
    (epsilon,) = numbers.parse_numbers([_EPSILON.value])
    return _Config(
        checkpoint=_CHECKPOINT.value,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        images=_IMAGES.value,
        batch_size=_BATCH_SIZE.value,
        norm=_NORM.value,
        epsilon=epsilon,
        steps=_STEPS.value,
        queries=_QUERIES.value,
        seed=_SEED.value,
        work_dir=_WORK_DIR.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Attacks by both sides, and writes the record."""
    versions = _versions()
    begun = timing.begin(config.output_dir)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(config.work_dir or temporary)
        _prepare(config, folder)
        _run_attacks(folder)
        outcomes = {
            name: {
                side: _read(folder, side, name)
                for side in autoattack_side.BACKENDS
            }
            for name in autoattack_side.ATTACKS
        }
    outcomes["worst case"] = {
        side: _worst_case(
            [outcomes[name][side] for name in autoattack_side.STANDARD]
        )
        for side in autoattack_side.BACKENDS
    }
    cases = [_case(config, name, found) for name, found in outcomes.items()]
    rows = [
        (
            case["attack"],
            *(f"{n / case['images']:.1%}" for n in case["correct"].values()),
            str(case["images_that_differ"]),
        )
        for case in cases
    ]
    columns = ("attack", "ours", "torchattacks", "images that differ")
    print(f"\n{records.tables.markdown_table(columns, rows)}")
    checkpoint = os.path.basename(config.checkpoint).removesuffix(".keras")
    timing.write_record(
        "autoattack",
        cases,
        rounds=1,
        begun=begun,
        provenance=provenance,
        warm_up_rounds=0,
        versions=versions,
        file_name=f"benchmark_autoattack_{checkpoint}.json",
    )


def _versions():
    """Returns the versions of the packages that the other side needs."""
    try:
        return {
            name: importlib.metadata.version(name)
            for name in ("torch", "torchattacks")
        }
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed; pip install torch torchattacks"
        ) from error


def _prepare(config, folder):
    """Writes the settings and the images for both sides.

    Args:
        config: the `_Config`.
        folder: path, created if it does not exist.

    Raises:
        UserError: if the folder holds another run, or the model needs peers.
    """
    from peernets_tf import datasets, models, peers

    model_path = models.preset_path(config.checkpoint)
    model = models.load(model_path)
    if peers.peer_layers(model):
        raise UserError(
            "--checkpoint must be a model without peers, because PyTorch runs "
            f"no PeerRegularization layer. Received: {config.checkpoint}"
        )
    settings = dataclasses.asdict(config)
    for name in ("data_dir", "work_dir", "output_dir"):
        del settings[name]
    settings["weights_sha256"] = models.weights_sha256(model)
    text = json.dumps(settings)
    path = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() != text:
        raise UserError(
            "--work_dir must be empty or hold a run of the same settings. "
            f"Received: {folder} with {path.read_text()}"
        )
    path.write_text(text)
    dataset = datasets.load(config.dataset, config.data_dir)
    test = dataset.test.first(config.images)
    np.savez(
        folder / "images.npz",
        images=test.images,
        labels=test.labels,
        num_classes=dataset.num_classes,
        model_path=model_path,
    )


def _run_attacks(folder):
    """Runs each attack of each side in a process of its own, two at a time."""
    waiting = [
        (side, name)
        for name in autoattack_side.LONGEST_FIRST
        for side in autoattack_side.BACKENDS
        if not autoattack_side.result_path(folder, side, name).exists()
    ]
    running = {}
    try:
        while waiting or running:
            for number in range(2):
                if number not in running and waiting:
                    running[number] = _start(folder, *waiting.pop(0), number)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            if any(process.poll() for process in running.values()):
                raise UserError("an attack failed: see its error above")
            running = {n: p for n, p in running.items() if p.returncode is None}
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def _start(folder, side, name, number):
    """Starts one attack of one side, and returns its process.

    Args:
        folder: path of the folder.
        side: str, a key of `autoattack_side.BACKENDS`.
        name: str, the attack.
        number: int, see `timing.pin`.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", autoattack_side.__name__, side, name, folder],
        env={
            **os.environ,
            "KERAS_BACKEND": autoattack_side.BACKENDS[side],
            # torchattacks gets its images on the CPU.
            "CUDA_VISIBLE_DEVICES": "",
        },
    )
    timing.pin(process, number)
    return process


def _read(folder, side, name):
    """Returns which images stand against an attack, and its seconds."""
    with np.load(autoattack_side.result_path(folder, side, name)) as data:
        return data["is_correct"], float(data["seconds"])


def _worst_case(outcomes):
    """Returns which images stand against all attacks, and their seconds."""
    is_correct, seconds = zip(*outcomes, strict=True)
    return np.all(is_correct, axis=0), sum(seconds)


def _case(config, name, found):
    """Returns the case of one attack, see `records.BenchmarkRecord`.

    Args:
        config: the `_Config`.
        name: str, the attack.
        found: dict of pairs as `_read` returns them, by side.
    """
    is_correct = {side: outcome[0] for side, outcome in found.items()}
    seconds = {side: [outcome[1]] for side, outcome in found.items()}
    return {
        "attack": name,
        "checkpoint": config.checkpoint,
        "norm": config.norm,
        "epsilon": config.epsilon,
        "images": len(is_correct["ours"]),
        "images_that_differ": int(
            np.sum(is_correct["ours"] != is_correct["torchattacks"])
        ),
        "correct": {k: int(np.sum(v)) for k, v in is_correct.items()},
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
    }


COMMAND = app.Command(
    module="benchmarks.autoattack", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
