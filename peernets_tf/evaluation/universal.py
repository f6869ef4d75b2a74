"""Universal perturbations in files: fitting one with resume, reading one."""

import hashlib
import os

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import attacks, files
from peernets_tf.errors import UserError
from peernets_tf.progress import Progress


def fit(
    attack: attacks.UniversalAttack,
    classifier: attacks.Classifier,
    images: NDArray[np.float32],
    *,
    path: str,
    seed: int,
) -> attacks.FixedPerturbation:
    """Fits a perturbation, or resumes after its last batch.

    Shows a progress bar with the fooling rate so far. Writes the progress to
    PATH.npz, the perturbation to PATH.npy, and a picture of it, grey where it
    is zero, to PATH.png.

    Args:
        attack: the `UniversalAttack`.
        classifier: the `Classifier` that the perturbation is to fool.
        images: float array of shape `(N, H, W, C)` in [0, 1], training images.
        path: str, without a suffix, in a folder of this evaluation only.
        seed: int, the seed of the images' order.

    Returns:
        The `FixedPerturbation`.

    Raises:
        UserError: if PATH.npz is damaged.
    """
    progress = None
    if os.path.exists(f"{path}.npz"):
        progress = attacks.Progress.load(f"{path}.npz")
    print(f"{os.path.basename(path)}: {attack}", flush=True)
    bar = Progress(
        -(-len(images) // attack.batch_size) * attack.passes, "batches"
    )
    bar.skip(progress.batches if progress else 0)
    if progress is None or not progress.finished:
        steps = attack.iterate(classifier, images, seed=seed, start=progress)
        for progress in steps:
            with files.atomic_file(f"{path}.npz") as temporary:
                progress.save(temporary)
            bar.update(
                progress.batches,
                fooled_in_this_pass=progress.fooled / progress.seen,
            )
    bar.close()
    assert progress is not None
    with files.atomic_file(f"{path}.npy") as temporary:
        np.save(temporary, progress.perturbation)
    _save_picture(progress.perturbation, f"{path}.png")
    return attack.fitted(progress, len(images))


def read(
    path: str, shape: tuple[int, ...], norm: str
) -> attacks.FixedPerturbation:
    """Reads a perturbation from an .npy file.

    Args:
        path: str.
        shape: tuple, the images' `(H, W, C)`.
        norm: `"l2"` or `"linf"`, the norm in which its length is stated.

    Raises:
        UserError: if the file is not an array of that shape.
    """
    perturbation = files.read_array(path)
    if perturbation.shape != shape or perturbation.dtype.kind not in "fiu":
        raise UserError(
            f"{path} must hold real numbers in the images' shape, {shape}. "
            f"Received: {perturbation.dtype} of shape {perturbation.shape}"
        )
    digest = hashlib.sha256(perturbation.tobytes()).hexdigest()
    return attacks.FixedPerturbation(
        perturbation=perturbation.astype(np.float32),
        source=f"{path}, SHA-256 {digest}",
        norm=norm,
    )


def _save_picture(perturbation: NDArray[np.float32], path: str) -> None:
    largest = max(float(np.abs(perturbation).max()), 1e-12)
    picture = 127.5 + perturbation * (127.5 / largest)
    keras.utils.save_img(path, picture, scale=False)
