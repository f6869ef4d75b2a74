"""Universal perturbations in files: fitting one with resume, reading some."""

import dataclasses
import hashlib
import os
import re

import msgspec
import numpy as np
from numpy.typing import NDArray

from peernets_tf import attacks, files, records
from peernets_tf.errors import UserError, naming
from peernets_tf.lazy import keras
from peernets_tf.progress import Progress as ProgressBar

# The numbers of `attacks.Progress`.
_PROGRESS_FIELDS: dict[str, type] = {
    "batches": int,
    "seen": int,
    "fooled": int,
    "finished": bool,
}
# The file of `fit` for an evaluation's `Strength`, if that is a rho.
_RHO_FILE = re.compile(r"perturbation_rho_(\d+(?:\.\d+)?(?:e[+-]\d+)?)\.npy")


def fit(
    attack: attacks.UniversalAttack,
    classifier: attacks.Classifier,
    images: NDArray[np.float32],
    *,
    path: str,
    seed: int,
    run: str = "",
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
        run: str, the id of the evaluation, see `records.run_id`, which the
            progress is marked with.

    Returns:
        The `FixedPerturbation`.

    Raises:
        UserError: if PATH.npz is damaged, or of another run.
    """
    progress = None
    if os.path.exists(f"{path}.npz"):
        progress = _load(f"{path}.npz", attack, images, run)
    print(f"{os.path.basename(path)}: {attack}", flush=True)
    bar = ProgressBar(
        -(-len(images) // attack.batch_size) * attack.passes, "batches"
    )
    bar.skip(progress.batches if progress else 0)
    if progress is None or not progress.finished:
        steps = attack.iterate(classifier, images, seed=seed, start=progress)
        for progress in steps:
            with files.atomic_file(f"{path}.npz") as temporary:
                np.savez(temporary, run=run, **dataclasses.asdict(progress))
            bar.update(
                progress.batches,
                fooled_in_this_pass=progress.fooled / progress.seen,
            )
    bar.close()
    assert progress is not None
    with files.atomic_file(f"{path}.npy") as temporary:
        np.save(temporary, progress.perturbation)
    # A picture file has one or three channels.
    if progress.perturbation.shape[-1] in (1, 3):
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
    with naming("perturbation"):
        perturbation = files.read_array(path)
    if perturbation.shape != shape or perturbation.dtype.kind not in "fiu":
        raise UserError(
            f"{path} must hold real numbers in the images' shape, {shape}. "
            f"Received: {perturbation.dtype} of shape {perturbation.shape}"
        )
    # After the cast, because 1e300 does not fit into float32.
    with np.errstate(over="ignore"):
        as_float = perturbation.astype(np.float32)
    if not np.isfinite(as_float).all():
        raise UserError(
            f"{path} must hold finite numbers. Received: NaN or infinity; "
            "compute the perturbation again"
        )
    digest = hashlib.sha256(perturbation.tobytes()).hexdigest()
    return attacks.FixedPerturbation(
        perturbation=as_float,
        source=f"{path}, SHA-256 {digest}",
        norm=norm,
    )


def read_record(
    path: str, shape: tuple[int, ...]
) -> list[tuple[records.AttackCase, attacks.FixedPerturbation]]:
    """Reads the universal perturbations that an evaluation left.

    Args:
        path: str, the JSON file of the evaluation's record, see
            `perturbations_of`.
        shape: tuple, the images' `(H, W, C)`.

    Returns:
        Each case of the record, with its perturbation.

    Raises:
        UserError: if the record is of another evaluation, or the file of a
            perturbation is missing, damaged or of another shape.
    """
    record = records.read(path)
    paths = _files_of(path)
    if (
        not isinstance(record, records.AttackRecord)
        or not record.is_universal
        or not paths
    ):
        raise UserError(
            "perturbation must be an .npy file, or the record of an "
            "evaluation with attack=universal and rho, beside the .npy files "
            f"that it left. Received: {path}"
        )
    found = []
    for case in record.cases:
        # The name of a file has six digits of its rho.
        rho = None if case.rho is None else float(f"{case.rho:g}")
        if rho not in paths:
            raise UserError(
                f"{path} must have an .npy file beside it for each rho. "
                f"Received: none for rho={case.rho}"
            )
        fixed = read(paths[rho], shape, case.norm)
        found.append((case, dataclasses.replace(fixed, clip=case.clip)))
    return found


def perturbations_of(record_path: str) -> dict[float, NDArray[np.float32]]:
    """Reads the universal perturbations that an evaluation left.

    They are the files perturbation_rho_RHO.npy in the record's folder or, for
    a published record FOLDER/NAME.json, in FOLDER/NAME.

    Args:
        record_path: str, the JSON file of the evaluation's record.

    Returns:
        The perturbations, float32 arrays of shape `(H, W, C)` for images in
        [0, 1], by rho in ascending order; empty if there are none.

    Raises:
        UserError: if a file is damaged, or two differ in their shapes.
    """
    found: dict[float, NDArray[np.float32]] = {}
    shape = None
    for rho, path in _files_of(record_path).items():
        shape = shape or files.read_array(path).shape
        found[rho] = read(path, shape, "l2").perturbation
    return found


def _files_of(record_path: str) -> dict[float, str]:
    """Returns the .npy files beside a record, by rho in ascending order."""
    folder = os.path.dirname(record_path) or "."
    for place in (os.path.splitext(record_path)[0], folder):
        names = os.listdir(place) if os.path.isdir(place) else []
        paths = {
            float(match[1]): os.path.join(place, match[0])
            for match in map(_RHO_FILE.fullmatch, names)
            if match
        }
        if paths:
            return dict(sorted(paths.items()))
    return {}


def _load(
    path: str,
    attack: attacks.UniversalAttack,
    images: NDArray[np.float32],
    run: str,
) -> attacks.Progress:
    """Reads the progress of a fit, and checks that it can be of this one."""
    advice = "Remove the file to start again"
    try:
        arrays = files.read_arrays(path)
        received = str(arrays.pop("run"))
        progress = attacks.Progress(
            perturbation=arrays["perturbation"],
            **{
                name: msgspec.convert(arrays[name].tolist(), kind)
                for name, kind in _PROGRESS_FIELDS.items()
            },
        )
        _check_progress(progress, attack, images)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path} must hold the progress of a perturbation. Received: "
            f"{error}. {advice}"
        ) from error
    if received != run:
        raise UserError(
            f"{path} must hold the progress of this evaluation. Received: that "
            f"of another run. {advice}"
        )
    return progress


def _check_progress(
    progress: attacks.Progress,
    attack: attacks.UniversalAttack,
    images: NDArray[np.float32],
) -> None:
    """Raises a `ValueError` if a fit cannot have come this far."""
    array = progress.perturbation
    if array.dtype != np.float32 or array.shape != images.shape[1:]:
        raise ValueError(f"{array.dtype} of shape {array.shape}")
    order = np.inf if attack.norm == "linf" else 2
    length = np.linalg.norm(array.ravel().astype(np.float64), order)
    # Written so that NaN fails, too.
    if not length <= attack.epsilon * (1 + 1e-4) + 1e-6:
        raise ValueError(f"a perturbation of norm {length}")
    batches = -(-len(images) // attack.batch_size) * attack.passes
    if not 1 <= progress.batches <= batches - (not progress.finished):
        raise ValueError(f"{progress.batches} of {batches} batches")
    if not 1 <= progress.seen <= len(images):
        raise ValueError(f"{progress.seen} of {len(images)} images")
    if not 0 <= progress.fooled <= progress.seen:
        raise ValueError(f"{progress.fooled} fooled of {progress.seen} images")


def _save_picture(perturbation: NDArray[np.float32], path: str) -> None:
    largest = max(float(np.abs(perturbation).max()), 1e-12)
    picture = 127.5 + perturbation * (127.5 / largest)
    keras.utils.save_img(
        path, picture, data_format="channels_last", scale=False
    )
