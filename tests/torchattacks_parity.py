"""Compares our attacks of AutoAttack with those of torchattacks.

Both attack the same images and weights: ours on Keras's TensorFlow backend,
those of torchattacks on its PyTorch backend, each in a process of its own. It
prints the robust accuracy that each attack leaves, and fails if a difference is
larger than chance explains. It needs `pip install torch torchattacks`:

    python tests/torchattacks_parity.py --images=100

With 500 images and 5,000 queries it takes hours on a CPU. With --work_dir it
resumes after the last attack that is complete.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "cifar10_resnet32", "A preset, or a .keras file of its kind."
)
_DATASET = flags.DEFINE_string("dataset", "cifar10", "The data set.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of TensorFlow Datasets (default: TFDS's own)."
)
_IMAGES = flags.DEFINE_integer("images", 500, "Test images, the first ones.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images at once.", 1)
_NORM = flags.DEFINE_enum("norm", "linf", ["linf", "l2"], "Norm of the ball.")
_EPSILON = flags.DEFINE_float(
    "epsilon", 1 / 255, "Radius of the ball for images in [0, 1]."
)
_STEPS = flags.DEFINE_integer("steps", 100, "Steps of APGD and FAB.", 1)
_QUERIES = flags.DEFINE_integer("queries", 5000, "Queries of Square.", 1)
_ATTACKS = flags.DEFINE_list(
    "attacks",
    ["apgd_ce", "apgd_dlr", "apgd_t", "fab_t", "square"],
    "The attacks, each of which attacks all images.",
)
_SIDE = flags.DEFINE_enum(
    "side",
    None,
    ["ours", "torchattacks"],
    "Runs one side only; set by the program itself.",
)
_WORK_DIR = flags.DEFINE_string(
    "work_dir",
    None,
    "Folder of what each attack left (default: a temporary one).",
)

# The attacks of AutoAttack's standard version.
STANDARD = ("apgd_ce", "apgd_t", "fab_t", "square")
# The largest differences of robust accuracy, in percentage points.
LARGEST_DIFFERENCE = 1.5
LARGEST_DIFFERENCE_OF_WORST_CASES = 0.6
BACKENDS = {"ours": "tensorflow", "torchattacks": "torch"}


def our_attacks(model, num_classes):
    """Returns our attacks by name, and the function that predicts classes.

    Args:
        model: a `keras.Model`.
        num_classes: int.
    """
    from peernets_tf import attacks

    classifier = attacks.Classifier(lambda x: model(x, training=False))
    ball = {"norm": _NORM.value, "epsilon": _EPSILON.value}
    run = {**ball, "steps": _STEPS.value}
    count = num_classes - 1
    found = {
        "apgd_ce": attacks.APGD(**run),
        "apgd_dlr": attacks.APGD(**run, loss="dlr"),
        "apgd_t": attacks.APGD(**run, loss="dlr", num_targets=count),
        "fab_t": attacks.FAB(**run, num_targets=count),
        "square": attacks.Square(**ball, queries=_QUERIES.value),
    }

    def bound(attack):
        return lambda images, labels: attack(classifier, images, labels)

    return {k: bound(a) for k, a in found.items()}, classifier.predict


def their_attacks(model, num_classes):
    """Returns the attacks of torchattacks, see `our_attacks`."""
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
        "norm": {"linf": "Linf", "l2": "L2"}[_NORM.value],
        "eps": _EPSILON.value,
    }
    run = {**ball, "steps": _STEPS.value}
    found = {
        "apgd_ce": torchattacks.APGD(module, **run, loss="ce"),
        "apgd_dlr": torchattacks.APGD(module, **run, loss="dlr"),
        "apgd_t": torchattacks.APGDT(module, **run, n_classes=num_classes),
        "fab_t": torchattacks.FAB(
            module, **run, multi_targeted=True, n_classes=num_classes
        ),
        "square": torchattacks.Square(module, **ball, n_queries=_QUERIES.value),
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


def run_side(side, folder):
    """Attacks all images with the attacks of one side, and writes who stands.

    Args:
        side: str, a key of `BACKENDS`.
        folder: path of a folder with `images.npz`; `SIDE_ATTACK.npz` is written
            there for each attack, with `is_correct` of shape `(images,)` and
            `seconds`.
    """
    with np.load(folder / "images.npz") as data:
        images, labels = data["images"], data["labels"]
        num_classes, path = int(data["num_classes"]), str(data["model_path"])
    # The package refuses a backend that its attacks do not know.
    import keras

    model = keras.saving.load_model(path, compile=False)
    make = our_attacks if side == "ours" else their_attacks
    attacks, predict = make(model, num_classes)
    size = _BATCH_SIZE.value
    batches = [slice(i, i + size) for i in range(0, len(images), size)]
    for name in _ATTACKS.value:
        path = folder / f"{side}_{name}.npz"
        if path.exists():
            continue
        start = time.perf_counter()
        adversarial = np.concatenate(
            [attacks[name](images[part], labels[part]) for part in batches]
        )
        seconds = time.perf_counter() - start
        check_ball(adversarial - images)
        is_correct = np.concatenate(
            [
                (predict(images[part]) == labels[part])
                & (predict(adversarial[part]) == labels[part])
                for part in batches
            ]
        )
        print(
            f"{side} {name}: {is_correct.mean():.1%} in {seconds:.0f} s",
            flush=True,
        )
        np.savez(path, is_correct=is_correct, seconds=seconds)


def check_ball(change):
    flat = change.reshape(len(change), -1)
    order = np.inf if _NORM.value == "linf" else 2
    sizes = np.linalg.norm(flat, ord=order, axis=1)
    assert sizes.max() <= _EPSILON.value * (1 + 1e-4) + 1e-6, sizes.max()


def compare(folder):
    """Prints both sides' robust accuracies, and returns the differences."""
    outcomes, differences = {}, {}
    print(f"{'attack':12} {'ours':>7} {'theirs':>7} {'differ':>7}   seconds")
    for name in _ATTACKS.value:
        found = {}
        for side in BACKENDS:
            with np.load(folder / f"{side}_{name}.npz") as data:
                found[side] = data["is_correct"], float(data["seconds"])
        (ours, our_time), (theirs, their_time) = found.values()
        outcomes[name] = ours, theirs
        differences[name] = show(name, ours, theirs)
        print(f"   {our_time:.0f} and {their_time:.0f}")
    if set(STANDARD) <= outcomes.keys():
        ours, theirs = (
            np.all([outcomes[name][i] for name in STANDARD], axis=0)
            for i in (0, 1)
        )
        differences["worst case"] = show("worst case", ours, theirs)
        print()
    return differences


def show(name, ours, theirs):
    """Prints a line and returns the difference in percentage points."""
    print(
        f"{name:12} {ours.mean():7.1%} {theirs.mean():7.1%} "
        f"{np.sum(ours != theirs):7}",
        end="",
    )
    return 100 * abs(ours.mean() - theirs.mean())


def main(_):
    if _SIDE.value:
        run_side(_SIDE.value, pathlib.Path(_WORK_DIR.value))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(_WORK_DIR.value or temporary)
        prepare(folder)
        for side, backend in BACKENDS.items():
            subprocess.run(
                [sys.executable, *sys.argv, f"--side={side}"]
                + [f"--work_dir={folder}"],
                env={**os.environ, "KERAS_BACKEND": backend},
                check=True,
            )
        differences = compare(folder)
    worst = differences.pop("worst case", 0)
    largest = max(differences, key=differences.get)
    print(
        f"Largest difference: {differences[largest]:.1f} points ({largest}); "
        f"of worst cases {worst:.1f}"
    )
    assert differences[largest] <= LARGEST_DIFFERENCE
    assert worst <= LARGEST_DIFFERENCE_OF_WORST_CASES


def prepare(folder):
    """Writes the images, and checks that what is there has the same settings.

    Args:
        folder: path, created if it does not exist.
    """
    from peernets_tf import datasets, models

    flag_holders = (_CHECKPOINT, _DATASET, _IMAGES, _BATCH_SIZE, _NORM)
    flag_holders += (_EPSILON, _STEPS, _QUERIES)
    settings = json.dumps({flag.name: flag.value for flag in flag_holders})
    path = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() != settings:
        raise SystemExit(
            "--work_dir must be empty or hold a run of the same settings. "
            f"Received: {folder} with {path.read_text()}"
        )
    path.write_text(settings)
    dataset = datasets.load(_DATASET.value, _DATA_DIR.value)
    test = dataset.test.first(_IMAGES.value)
    np.savez(
        folder / "images.npz",
        images=test.images,
        labels=test.labels,
        num_classes=dataset.num_classes,
        model_path=models.preset_path(_CHECKPOINT.value),
    )


if __name__ == "__main__":
    app.run(main)
