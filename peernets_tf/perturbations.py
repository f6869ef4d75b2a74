"""Makes universal perturbations that a kill does not lose, and reads them."""

import hashlib
import os

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import data, results
from peernets_tf.attacks import autodiff, guards, universal


def make(
    maker: universal.UniversalDeepFool | universal.UniversalGradient,
    logits_fn: autodiff.LogitsFunction,
    images: NDArray[np.float32],
    *,
    path: str,
    seed: int,
    identity: str,
) -> universal.FixedPerturbation:
    """Makes a perturbation, or goes on from its last batch.

    Shows a progress bar with the fooling rate so far. Besides the progress in
    PATH.npz it writes the perturbation to PATH.npy, and as a picture, grey
    where it is zero, to PATH.png.

    Args:
        maker: the frozen dataclass that makes it.
        logits_fn: function from images to logits.
        images: float array of shape `(N, H, W, C)` in [0, 1]: training images.
        path: str, without an ending.
        seed: int, the seed of the images' order.
        identity: str, of all else that the perturbation depends on.

    Returns:
        The perturbation in the form of an attack.

    Raises:
        AttackError: if the files at `path` are of another perturbation.
    """
    identity = f"{maker}, {len(images)} images, {seed}, {identity}"
    state = None
    if os.path.exists(f"{path}.npz"):
        with np.load(f"{path}.npz") as arrays:
            if str(arrays["identity"]) != identity:
                raise guards.AttackError(
                    f"{path}.npz is of another perturbation: choose another "
                    "--output_dir"
                )
        state = universal.Progress.load(f"{path}.npz")
    print(f"{os.path.basename(path)}: {maker}", flush=True)
    bar = keras.utils.Progbar(
        -(-len(images) // maker.batch_size) * maker.passes,
        unit_name="batch",
        stateful_metrics=["fooled in this pass"],
    )
    if state is None or not state.finished:
        steps = maker.iterate(logits_fn, images, seed=seed, start=state)
        for state in steps:
            with results.atomic_file(f"{path}.npz") as temporary:
                state.save(temporary, identity=identity)
            bar.update(
                state.batches,
                [("fooled in this pass", state.fooled / state.seen)],
                finalize=state.finished,
            )
    assert state is not None
    with results.atomic_file(f"{path}.npy") as temporary:
        np.save(temporary, state.perturbation)
    largest = max(float(np.abs(state.perturbation).max()), 1e-12)
    picture = 127.5 + state.perturbation * (127.5 / largest)
    keras.utils.save_img(f"{path}.png", picture, scale=False)
    return universal.FixedPerturbation(
        perturbation=state.perturbation,
        source=f"{maker} on {len(images)} training images, "
        f"{state.batches} batches",
    )


def read(path: str, shape: tuple[int, ...]) -> universal.FixedPerturbation:
    """Reads a perturbation from an .npy file.

    Args:
        path: str.
        shape: tuple, the images' `(H, W, C)`.

    Raises:
        ValueError: if the file is not an array of that shape.
    """
    perturbation = data.read_array(path)
    if perturbation.shape != shape:
        raise ValueError(
            f"{path} has shape {perturbation.shape}, the images {shape}"
        )
    digest = hashlib.sha256(perturbation.tobytes()).hexdigest()
    return universal.FixedPerturbation(
        perturbation=perturbation.astype(np.float32),
        source=f"{path}, SHA-256 {digest}",
    )
