"""The trained models that come with the source, under `checkpoints/`."""

import pathlib

import keras

from peernets_tf import models

_FOLDER = pathlib.Path(__file__).resolve().parent.parent / "checkpoints"


def load_pretrained(name: str) -> keras.Model:
    """Loads a trained model, with one graph of peers, ready to predict.

    Args:
        name: str, a model in `checkpoints/`, such as `"cifar10_pr_resnet32"`.
            Its record is `checkpoints/NAME.json`.

    Returns:
        A `keras.Model` from float32 images `(B, H, W, C)` in [0, 1] to logits.

    Raises:
        ValueError: if there is no such model.
    """
    path = _FOLDER / f"{name}.keras"
    if not path.is_file():
        found = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.keras")))
        raise ValueError(
            f"No trained model of that name in {_FOLDER}; it holds "
            f"{found or 'none (a clone of the repository has them)'}. "
            f"Received: name={name}"
        )
    return models.load(path)


def path_of(checkpoint: str) -> str:
    """Returns the file of a trained model's name, and any other path as is."""
    path = _FOLDER / f"{checkpoint}.keras"
    return str(path) if path.is_file() else checkpoint
