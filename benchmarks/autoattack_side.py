"""One attack of `benchmarks.autoattack`: ours, or that of torchattacks.

`benchmarks.autoattack` starts it once for each attack of each side: python -m
benchmarks.autoattack_side SIDE ATTACK FOLDER. It reads `settings.json` and
`images.npz` in the folder, and writes `SIDE_ATTACK.npz`, with `is_correct` of
shape `(images,)` and `seconds`.
"""

import json
import pathlib
import sys
import time

import keras
import numpy as np

# The attacks of AutoAttack's standard version.
STANDARD = ("APGD-CE", "APGD-T", "FAB-T", "Square")
ATTACKS = ("none", *STANDARD, "APGD-DLR")
LONGEST_FIRST = ("Square", "FAB-T", "APGD-T", "APGD-DLR", "APGD-CE", "none")
assert sorted(LONGEST_FIRST) == sorted(ATTACKS)
BACKENDS = {"ours": "tensorflow", "torchattacks": "torch"}


def attack(side, name, folder):
    """Attacks all images by one attack, and writes which of them stand.

    Args:
        side: str, a key of `BACKENDS`.
        name: str, one of `ATTACKS`.
        folder: path of the folder.
    """
    settings = json.loads((folder / "settings.json").read_text())
    with np.load(folder / "images.npz") as data:
        images, labels = data["images"], data["labels"]
        num_classes, path = int(data["num_classes"]), str(data["model_path"])
    model = keras.saving.load_model(path, compile=False)
    make = our_attacks if side == "ours" else their_attacks
    attacks, predict = make(settings, model, num_classes)
    size = settings["batch_size"]
    batches = [slice(i, i + size) for i in range(0, len(images), size)]
    clean = np.concatenate([predict(images[batch]) for batch in batches])
    seconds, found = 0.0, []
    for batch in batches:
        start = time.perf_counter()
        adversarial = attacks[name](images[batch], labels[batch])
        seconds += time.perf_counter() - start
        check_ball(settings, adversarial - images[batch], f"{side} {name}")
        found.append(predict(adversarial))
        done = min(batch.stop, len(images))
        print(
            f"{side}, {name}: {done}/{len(images)} images, {seconds:.0f} s",
            flush=True,
        )
    is_correct = (clean == labels) & (np.concatenate(found) == labels)
    # A file that is there is whole.
    path = result_path(folder, side, name)
    temporary = path.with_name(f"writing.{path.name}")
    np.savez(temporary, is_correct=is_correct, seconds=seconds)
    temporary.replace(path)


def result_path(folder, side, name):
    """Returns the file of what one attack of one side left."""
    return folder / f"{side}_{name}.npz"


def our_attacks(settings, model, num_classes):
    """Returns our attacks by name, and the function that predicts classes.

    Args:
        settings: dict, the settings of `benchmarks.autoattack`.
        model: a `keras.Model`.
        num_classes: int.
    """
    # The package refuses the backend of the other side.
    from peernets_tf import attacks

    classifier = attacks.Classifier(lambda x: model(x, training=False))
    ball = {"norm": settings["norm"], "epsilon": settings["epsilon"]}
    run = {**ball, "steps": settings["steps"]}
    count = num_classes - 1
    found = {
        "APGD-CE": attacks.APGD(**run),
        "APGD-T": attacks.APGD(**run, loss="dlr", num_targets=count),
        "FAB-T": attacks.FAB(**run, num_targets=count),
        "Square": attacks.Square(
            **ball, queries=settings["queries"], rescale_schedule=False
        ),
        "APGD-DLR": attacks.APGD(**run, loss="dlr"),
    }

    def bound(attack):
        return lambda images, labels: attack(
            classifier, images, labels, seed=settings["seed"]
        )

    functions = {name: bound(attack) for name, attack in found.items()}
    return {"none": unchanged, **functions}, classifier.predict


def their_attacks(settings, model, num_classes):
    """Returns the attacks of torchattacks, see `our_attacks`."""
    import torch
    import torchattacks

    # No gradients of weights, which ours do not compute either.
    model.trainable = False

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            # torchattacks asks a parameter for the device.
            self.unused = torch.nn.Parameter(torch.zeros(()))

        def forward(self, images):
            return model(images.permute(0, 2, 3, 1), training=False)

    module = Module()
    ball = {
        "norm": {"linf": "Linf", "l2": "L2"}[settings["norm"]],
        "eps": settings["epsilon"],
        "seed": settings["seed"],
    }
    run = {**ball, "steps": settings["steps"]}
    found = {
        "APGD-CE": torchattacks.APGD(module, **run, loss="ce"),
        "APGD-T": torchattacks.APGDT(module, **run, n_classes=num_classes),
        "FAB-T": torchattacks.FAB(
            module, **run, multi_targeted=True, n_classes=num_classes
        ),
        # As in the authors' AutoAttack. That of torchattacks rescales.
        "Square": torchattacks.Square(
            module,
            **ball,
            n_queries=settings["queries"],
            resc_schedule=False,
        ),
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

    functions = {name: bound(attack) for name, attack in found.items()}
    return {"none": unchanged, **functions}, predict


def unchanged(images, labels):
    """Returns the images: the attack `none`."""
    return images


def check_ball(settings, change, name):
    """Raises a `ValueError` if an attack leaves its ball, beyond rounding."""
    flat = change.reshape(len(change), -1)
    order = np.inf if settings["norm"] == "linf" else 2
    largest = np.linalg.norm(flat, ord=order, axis=1).max()
    if largest > settings["epsilon"] * (1 + 1e-4) + 1e-6:
        raise ValueError(
            f"{name} must stay within {settings['epsilon']:.6f}. Received: "
            f"{largest:.6f}"
        )


if __name__ == "__main__":
    attack(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]))
