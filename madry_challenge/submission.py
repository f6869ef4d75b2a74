"""A submission to the challenge: adversarial images of all test images."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from madry_challenge import data
from peernets_tf import evaluation, files, models, training
from peernets_tf.errors import UserError, naming
from peernets_tf.lazy import module

if TYPE_CHECKING:
    from peernets_tf import peers
else:
    peers = module("peernets_tf.peers")

# The original's, on the 0-255 pixel scale.
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmissionConfig:
    """A submission and the model that it attacks.

    Attributes:
        checkpoint: str, a .keras file or the name of a preset.
        adversarial_path: str, the .npy file of adversarial images, in
            CIFAR-10's own order and on the 0-255 pixel scale.
        epsilon: float, the largest L-infinity distance on that scale.
        predictions_path: str, the .npy file to write predictions to.
        data_dir: str or None, the TensorFlow Datasets directory.

    Raises:
        UserError: if there are no adversarial images, or the predictions cannot
            be written.
    """

    checkpoint: str
    adversarial_path: str
    epsilon: float
    predictions_path: str
    data_dir: str | None = None

    def __post_init__(self) -> None:
        files.check_output(self.predictions_path, ".npy", "--predictions")
        files.check_exists(self.adversarial_path, "--attack")


def score(config: SubmissionConfig) -> float:
    """Writes a model's predictions on a submission.

    Returns:
        The accuracy in [0, 1] on the adversarial images.

    Raises:
        UserError: if the submission breaks the rules of `check`, or the model's
            logits are not finite.
    """
    with naming("--attack"):
        adversarial = files.read_array(config.adversarial_path)
    model = models.load(models.preset_path(config.checkpoint))
    dataset = data.load("cifar10", config.data_dir)
    evaluation.check_fits(model, dataset)
    test = dataset.test
    with naming(config.adversarial_path):
        check(adversarial, 255 * test.images, config.epsilon)
    predictions = training.predict_classes(
        peers.monte_carlo(model), adversarial.astype(np.float32) / 255
    )
    with files.atomic_file(config.predictions_path) as temporary:
        np.save(temporary, predictions)
    return float(np.mean(predictions == test.labels))


def check(
    adversarial: NDArray[np.floating],
    images: NDArray[np.floating],
    epsilon: float,
) -> None:
    """Raises a `UserError` unless a submission keeps the challenge's rules.

    Its images must be finite numbers in [0, 255], as many and as large as the
    test images, and within the radius.

    Args:
        adversarial: array of the shape of `images`, in [0, 255].
        images: float array of shape `(N, H, W, C)`, in [0, 255].
        epsilon: float, the largest L-infinity distance on the 0-255 pixel
            scale.
    """
    if adversarial.dtype.kind not in "fiu":
        raise UserError(
            "adversarial images must be numbers. Received: dtype "
            f"{adversarial.dtype}"
        )
    if adversarial.shape != images.shape:
        raise UserError(
            f"adversarial images must have shape {images.shape}. Received: "
            f"{adversarial.shape}"
        )
    low, high = np.min(adversarial), np.max(adversarial)
    # Written so that NaN fails, too.
    if not (low >= -_TOLERANCE and high <= 255 + _TOLERANCE):
        raise UserError(
            "adversarial images must lie in [0, 255]. Received: "
            f"[{low}, {high}]"
        )
    distance = np.max(np.abs(adversarial - images))
    if distance > epsilon + _TOLERANCE:
        raise UserError(
            f"adversarial images must lie within {epsilon} of the test images "
            f"on the 0-255 pixel scale. Received: {distance}"
        )
