"""MagNet (Meng and Chen 2017): autoencoders in front of a classifier.

A reformer replaces an image with what an autoencoder makes of it. Detectors
reject images that lie far from those that the autoencoders were trained on.
Carlini and Wagner (2017, arXiv 1711.08478) broke the defence.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.attacks import checks
from peernets_tf.defenses.autoencoder import autoencoder, fit_autoencoder
from peernets_tf.errors import UserError, naming
from peernets_tf.peers import peer_layers
from peernets_tf.types import Tensor

_EPSILON = 1e-7


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """Scores how unlike the training images an image is.

    Attributes:
        autoencoder: `keras.Model` from images to images.
        norm: int, 1 or 2: the score is the mean of |x - autoencoder(x)| ** norm
            over all values of an image. None for a score by temperature.
        temperature: float, T: the score is the Jensen-Shannon divergence of
            softmax(logits / T) for an image and for its reconstruction, in
            nats. None for a score by norm.
    """

    autoencoder: keras.Model
    norm: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        if (self.norm is None) == (self.temperature is None):
            raise UserError(
                "a detector has either `norm` or `temperature`. Received: "
                f"norm={self.norm}, temperature={self.temperature}"
            )
        if self.norm not in (None, 1, 2):
            raise UserError(f"`norm` must be 1 or 2. Received: {self.norm}")
        if self.temperature is not None and self.temperature <= 0:
            raise UserError(
                f"`temperature` must be above 0. Received: {self.temperature}"
            )

    def compare(
        self,
        images: Tensor,
        rebuilt: Tensor,
        classifier: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Returns the scores `(B,)` of images and what is made of them.

        Args:
            images: float tensor of shape `(B, H, W, C)` in [0, 1].
            rebuilt: float tensor, what the autoencoder makes of `images`.
            classifier: function from images to logits `(B, classes)`.
        """
        if self.temperature is None:
            error = ops.abs(images - rebuilt)
            if self.norm == 2:
                error = ops.square(error)
            return ops.mean(error, axis=(1, 2, 3))
        first, second = (
            ops.softmax(classifier(x) / self.temperature)
            for x in (images, rebuilt)
        )
        mean = (first + second) / 2
        return (_divergence(first, mean) + _divergence(second, mean)) / 2


def with_magnet(
    classifier: keras.Model,
    train_images: NDArray[np.float32],
    validation_images: NDArray[np.float32],
    *,
    false_positive_rate: float = 0.01,
    epochs: int = 20,
    seed: int = 0,
    verbose: int | str = "auto",
) -> keras.Model:
    """Trains MagNet's autoencoders and puts them in front of a classifier.

    The detectors and the noise are those of Meng and Chen (2017) for MNIST and
    CIFAR-10. Images with one channel get two autoencoders, a pooled one, which
    is the reformer, and a plain one. Their detectors score by the norms 2 and
    1, and the noise has a deviation of 0.1. Images with more channels get one
    plain autoencoder, trained with noise of deviation 0.025, and three
    detectors: norm 1 and temperatures 10 and 40. A PeerNet gets only the first
    of these three, because it can be called only once in a model.

    Args:
        classifier: any `keras.Model` from images in [0, 1] to logits.
        train_images: float array of shape `(B, H, W, C)`, clean images.
        validation_images: float array of the same kind, other clean images,
            which set the detectors' thresholds, see `magnet`.
        false_positive_rate: float in (0, 1), see `magnet`.
        epochs: int, passes over the training images.
        seed: int, the seed of weights, noise and order.
        verbose: the verbosity of `keras.Model.fit`.

    Returns:
        See `magnet`.

    Raises:
        UserError: see `magnet` and `autoencoder`, or if images do not lie in
            [0, 1].
        AttackError: see `magnet`.
    """
    _check_rate(false_positive_rate)
    _check_validation(validation_images)
    with naming("classifier"):
        checks.check_ends_in_logits(classifier)
    with naming("train_images"):
        checks.check_images(train_images)
    with naming("validation_images"):
        checks.check_images(validation_images)
    shape = train_images.shape[1:]
    is_gray = shape[-1] == 1
    plain = autoencoder(shape, seed=seed)
    fits = [plain]
    if is_gray:
        pooled = autoencoder(shape, pooled=True, seed=seed + 5)
        fits.append(pooled)
        detectors = [
            Detector(autoencoder=pooled, norm=2),
            Detector(autoencoder=plain, norm=1),
        ]
    else:
        detectors = [Detector(autoencoder=plain, norm=1)]
        if not peer_layers(classifier):
            detectors += [
                Detector(autoencoder=plain, temperature=10.0),
                Detector(autoencoder=plain, temperature=40.0),
            ]
    for model in fits:
        fit_autoencoder(
            model,
            train_images,
            noise_std=0.1 if is_gray else 0.025,
            epochs=epochs,
            seed=seed,
            verbose=verbose,
        )
    return magnet(
        classifier,
        reformer=pooled if is_gray else plain,
        detectors=detectors,
        validation_images=validation_images,
        false_positive_rate=false_positive_rate,
    )


def magnet(
    classifier: keras.Model,
    *,
    reformer: keras.Model,
    detectors: Sequence[Detector],
    validation_images: NDArray[np.float32],
    false_positive_rate: float = 0.01,
) -> keras.Model:
    """Puts a reformer and detectors in front of a classifier.

    Each of D detectors rejects at most the share `false_positive_rate / D` of
    the validation images, those with its highest scores. So all of them
    together reject at most `false_positive_rate`. With fewer than
    D / `false_positive_rate` validation images a detector rejects none of them.

    Args:
        classifier: any `keras.Model` from images in [0, 1] to logits
            `(B, classes)`. It must not be a PeerNet if a detector scores by
            temperature, because a PeerNet can be called only once in a model.
        reformer: `keras.Model` from images to images.
        detectors: sequence of at least one `Detector`.
        validation_images: float array of shape `(B, H, W, C)` in [0, 1], clean
            images that the autoencoders were not trained on.
        false_positive_rate: float in (0, 1).

    Returns:
        A `keras.Model` from images `(B, H, W, C)` to logits `(B, classes + 1)`.
        The last one is the logit of rejection: it is the largest if and only if
        a detector rejects the image. The model is made of Keras's own layers
        and operations and those of `classifier`, whose weights it shares.

    Raises:
        UserError: if there is no detector or no validation image, the rate is
            out of range, or the classifier is a PeerNet that would be called
            more than once.
        AttackError: if the classifier ends in a softmax, sigmoid or tanh.
    """
    if not detectors:
        raise UserError("`detectors` must hold a Detector. Received: none")
    with naming("classifier"):
        checks.check_ends_in_logits(classifier)
    _check_rate(false_positive_rate)
    _check_validation(validation_images)
    if peer_layers(classifier) and any(d.temperature for d in detectors):
        raise UserError(
            "a PeerNet takes detectors that score by norm only. Received: "
            f"a detector with a temperature for {classifier.name}"
        )
    inputs = keras.Input(validation_images.shape[1:], name="images")
    # Detectors and reformer share what they have in common.
    classify = functools.cache(lambda images: classifier(images))
    autoencoders = [reformer, *(d.autoencoder for d in detectors)]
    rebuilt = {model: model(inputs) for model in dict.fromkeys(autoencoders)}
    scores = ops.stack(
        [
            detector.compare(inputs, rebuilt[detector.autoencoder], classify)
            for detector in detectors
        ],
        axis=1,
    )
    thresholds = _thresholds(
        keras.Model(inputs, scores).predict(validation_images, verbose=0),
        false_positive_rate / len(detectors),
    )
    # Each score is divided by its threshold: above 1, the image is rejected.
    scaled = keras.layers.Rescaling(
        [float(1 / threshold) for threshold in thresholds], name="thresholds"
    )(scores)
    ratio = ops.max(scaled, axis=1, keepdims=True)
    # By this name attacks find the reformer, see `adaptive.straight_through`.
    reformed = keras.layers.Identity(name="reformed")(rebuilt[reformer])
    logits = classifier(reformed)
    highest = ops.max(logits, axis=1, keepdims=True)
    # The logarithm keeps the gradient of a cross-entropy above 0 for images far
    # beyond a threshold.
    rejection = highest + ops.log(ops.maximum(ratio, _EPSILON))
    outputs = ops.concatenate([logits, rejection], axis=1)
    return keras.Model(inputs, outputs, name=f"magnet_{classifier.name}")


def _check_rate(false_positive_rate: float) -> None:
    if not 0 < false_positive_rate < 1:
        raise UserError(
            "`false_positive_rate` must be between 0 and 1. Received: "
            f"{false_positive_rate}"
        )


def _check_validation(images: NDArray[np.float32]) -> None:
    if not len(images):
        raise UserError(
            "`validation_images` must hold an image, or the detectors have no "
            "threshold. Received: none"
        )


def _thresholds(scores: NDArray[Any], rate: float) -> NDArray[np.float64]:
    """Returns for each detector a score that few images exceed.

    Args:
        scores: float array of shape `(B, D)`.
        rate: float, the largest share of images above a threshold.
    """
    found = np.quantile(
        scores.astype(np.float64), 1 - rate, axis=0, method="higher"
    )
    # An image whose score is the threshold is not rejected, whatever rounding
    # does. A detector that scores 0 everywhere rejects nothing.
    return np.maximum(found * (1 + 1e-5), _EPSILON)


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    """Returns the Kullback-Leibler divergence of rows `(B, classes)`."""
    ratio = ops.log(first + _EPSILON) - ops.log(second + _EPSILON)
    return ops.sum(first * ratio, axis=1)
