"""Compares AutoAttack with torchattacks': `python -m benchmarks.autoattack`.

The attacks of both attack the same test images on the same weights: ours on
Keras's TensorFlow backend, those of torchattacks on its PyTorch backend. Each
attack attacks all images; `worst case` counts the images that stand against all
four attacks of AutoAttack's standard version. The two sides run at the same
time, each on one core of its own where there are two.

It needs `pip install torch torchattacks`. With 500 images and 5,000 queries it
takes about an hour on two cores; with --work_dir it resumes after the last
attack that is complete.
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

from benchmarks import timing
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
_SIDE = flags.DEFINE_enum(
    "side",
    None,
    ["ours", "torchattacks"],
    "Runs one side only, and writes no record. The command gives this flag to "
    "its own processes.",
)
_WORK_DIR = flags.DEFINE_string(
    "work_dir",
    None,
    "Folder of what each attack left, from which an interrupted run goes on "
    "(default: a temporary folder).",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results", "Folder for benchmark_autoattack.json."
)

_ATTACKS = ("APGD-CE", "APGD-T", "FAB-T", "Square", "APGD-DLR")
# The attacks of AutoAttack's standard version.
_STANDARD = _ATTACKS[:4]
_BACKENDS = {"ours": "tensorflow", "torchattacks": "torch"}


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
    side: str | None
    work_dir: str | None
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    if _SIDE.value and not _WORK_DIR.value:
        raise UserError("--side needs --work_dir")
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
        side=_SIDE.value,
        work_dir=_WORK_DIR.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Attacks by both sides and writes the record, or attacks by one side."""
    if config.side:
        _attack_by(config.side, config, pathlib.Path(config.work_dir))
        return
    versions = _versions()
    begun = timing.begin(config.output_dir)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(config.work_dir or temporary)
        _prepare(config, folder)
        _run_sides(folder)
        outcomes = {
            name: {side: _read(folder, side, name) for side in _BACKENDS}
            for name in _ATTACKS
        }
    outcomes["worst case"] = {
        side: _worst_case([outcomes[name][side] for name in _STANDARD])
        for side in _BACKENDS
    }
    cases = [_case(config, name, found) for name, found in outcomes.items()]
    rows = [
        (
            case["attack"],
            *(f"{n / config.images:.1%}" for n in case["correct"].values()),
            f"{case['images_that_differ']}",
            f"{case['ratio_to_ours']['torchattacks']:.2f}",
        )
        for case in cases
    ]
    columns = ("attack", "ours", "torchattacks", "images differ", "time / ours")
    print(f"\n{records.tables.markdown_table(columns, rows)}")
    timing.write_record(
        "autoattack",
        cases,
        rounds=1,
        begun=begun,
        provenance=provenance,
        warm_up_rounds=0,
        versions=versions,
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
    """Writes the images, and checks that what is there has the same settings.

    Args:
        config: the `_Config`.
        folder: path, created if it does not exist.
    """
    from peernets_tf import datasets, models

    names = ("checkpoint", "dataset", "images", "batch_size", "norm")
    names += ("epsilon", "steps", "queries")
    settings = json.dumps({name: getattr(config, name) for name in names})
    path = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() != settings:
        raise UserError(
            "--work_dir must be empty or hold a run of the same settings. "
            f"Received: {folder} with {path.read_text()}"
        )
    path.write_text(settings)
    dataset = datasets.load(config.dataset, config.data_dir)
    test = dataset.test.first(config.images)
    np.savez(
        folder / "images.npz",
        images=test.images,
        labels=test.labels,
        num_classes=dataset.num_classes,
        model_path=models.preset_path(config.checkpoint),
    )


def _run_sides(folder):
    """Runs both sides at the same time, in processes of their own."""
    command = [sys.executable, "-m", "benchmarks.autoattack", *sys.argv[1:]]
    processes = []
    for number, (side, backend) in enumerate(_BACKENDS.items()):
        process = subprocess.Popen(
            [*command, f"--side={side}", f"--work_dir={folder}"],
            env={**os.environ, "KERAS_BACKEND": backend},
        )
        timing.pin(process, number)
        processes.append(process)
    if any([process.wait() for process in processes]):
        raise UserError("one side failed: see its error above")


def _attack_by(side, config, folder):
    """Attacks all images by one side, and writes which of them stand.

    Args:
        side: str, a key of `_BACKENDS`.
        config: the `_Config`.
        folder: path of a folder with `images.npz`. For each attack,
            `SIDE_ATTACK.npz` is written there, with `is_correct` of shape
            `(images,)` and `seconds`.
    """
    import keras

    with np.load(folder / "images.npz") as data:
        images, labels = data["images"], data["labels"]
        num_classes, path = int(data["num_classes"]), str(data["model_path"])
    model = keras.saving.load_model(path, compile=False)
    make = _our_attacks if side == "ours" else _their_attacks
    attacks, predict = make(config, model, num_classes)
    size = config.batch_size
    batches = [slice(i, i + size) for i in range(0, len(images), size)]
    for name in _ATTACKS:
        path = _path(folder, side, name)
        if path.exists():
            continue
        seconds, adversarial = 0.0, []
        for batch in batches:
            start = time.perf_counter()
            adversarial.append(attacks[name](images[batch], labels[batch]))
            seconds += time.perf_counter() - start
            done = min(batch.stop, len(images))
            print(
                f"{side}, {name}: {done}/{len(images)} images, {seconds:.0f} s",
                flush=True,
            )
        adversarial = np.concatenate(adversarial)
        _check_ball(config, adversarial - images)
        is_correct = np.concatenate(
            [
                (predict(images[batch]) == labels[batch])
                & (predict(adversarial[batch]) == labels[batch])
                for batch in batches
            ]
        )
        np.savez(path, is_correct=is_correct, seconds=seconds)


def _our_attacks(config, model, num_classes):
    """Returns our attacks by name, and the function that predicts classes.

    Args:
        config: the `_Config`.
        model: a `keras.Model`.
        num_classes: int.
    """
    # The package refuses the backend of the other side.
    from peernets_tf import attacks

    classifier = attacks.Classifier(lambda x: model(x, training=False))
    ball = {"norm": config.norm, "epsilon": config.epsilon}
    run = {**ball, "steps": config.steps}
    count = num_classes - 1
    found = {
        "APGD-CE": attacks.APGD(**run),
        "APGD-T": attacks.APGD(**run, loss="dlr", num_targets=count),
        "FAB-T": attacks.FAB(**run, num_targets=count),
        "Square": attacks.Square(**ball, queries=config.queries),
        "APGD-DLR": attacks.APGD(**run, loss="dlr"),
    }

    def bound(attack):
        return lambda images, labels: attack(
            classifier, images, labels, seed=config.seed
        )

    return {k: bound(a) for k, a in found.items()}, classifier.predict


def _their_attacks(config, model, num_classes):
    """Returns the attacks of torchattacks, see `_our_attacks`."""
    import torch
    import torchattacks

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            # torchattacks asks a parameter for the device.
            self.unused = torch.nn.Parameter(torch.zeros(()))

        def forward(self, images):
            return model(images.permute(0, 2, 3, 1), training=False)

    module = Module()
    ball = {
        "norm": {"linf": "Linf", "l2": "L2"}[config.norm],
        "eps": config.epsilon,
        "seed": config.seed,
    }
    run = {**ball, "steps": config.steps}
    found = {
        "APGD-CE": torchattacks.APGD(module, **run, loss="ce"),
        "APGD-T": torchattacks.APGDT(module, **run, n_classes=num_classes),
        "FAB-T": torchattacks.FAB(
            module, **run, multi_targeted=True, n_classes=num_classes
        ),
        "Square": torchattacks.Square(module, **ball, n_queries=config.queries),
        "APGD-DLR": torchattacks.APGD(module, **run, loss="dlr"),
    }

    def bound(attack):
        def run(images, labels):
            adversarial = attack(
                torch.from_numpy(images.transpose(0, 3, 1, 2).copy()),
                torch.from_numpy(labels.astype("int64")),
            )
            return adversarial.detach().numpy().transpose(0, 2, 3, 1).copy()

        return run

    def predict(images):
        with torch.no_grad():
            logits = model(torch.from_numpy(images), training=False)
        return logits.numpy().argmax(axis=1)

    return {name: bound(attack) for name, attack in found.items()}, predict


def _check_ball(config, change):
    flat = change.reshape(len(change), -1)
    order = np.inf if config.norm == "linf" else 2
    sizes = np.linalg.norm(flat, ord=order, axis=1)
    assert sizes.max() <= config.epsilon * (1 + 1e-4) + 1e-6, sizes.max()


def _path(folder, side, name):
    return folder / f"{side}_{name}.npz"


def _read(folder, side, name):
    """Returns which images stand against an attack, and its seconds."""
    with np.load(_path(folder, side, name)) as data:
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
        "ratio_to_ours": timing.median_ratios(seconds, "ours"),
    }


COMMAND = app.Command(
    module="benchmarks.autoattack",
    parse=_parse,
    run=benchmark,
    # A side starts Keras itself, on its backend.
    needs_keras=lambda config: config.side is None,
)

if __name__ == "__main__":
    app.main(COMMAND)
