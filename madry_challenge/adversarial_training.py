"""Adversarial training: each training step attacks its batch first.

Source: Madry et al. (2018), *Towards Deep Learning Models Resistant to
Adversarial Attacks*.
"""

import dataclasses
import functools

import keras
from keras import ops

from madry_challenge.config import LOSSES, Config
from peernets_tf import adaptive, attacks
from peernets_tf.errors import UserError
from peernets_tf.types import Tensor

# How the model works while a batch is attacked: as in training, or as in
# inference.
MODES = ("train", "eval")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a network is trained, in addition to what config.json says.

    Attributes:
        network: str, one of `madry_challenge.runs.NETWORKS`.
        attack_mode: `"train"` or `"eval"`, see `AdversarialTrainer`.
        backward: the backward pass of PeerRegularization layers that the attack
            follows, see `peernets_tf.adaptive.bpda`.
        augment: bool or None, whether training images are shifted and
            mirrored; None: only those of CIFAR.
        num_peers: int, N, the images of one graph of a PeerNet.
        num_graphs: int, M, the graphs that the trained PeerNet keeps.
        validation_size: int, the number of test images used at each checkpoint.
        initial_model: str or None, a .keras file or the name of a preset.
            Layers start from the weights of its layers of the same name.
    """

    network: str
    attack_mode: str = "train"
    backward: str = "exact"
    augment: bool | None = None
    num_peers: int = 50
    num_graphs: int = 10
    validation_size: int = 1000
    initial_model: str | None = None


def check_backend() -> None:
    """Raises a `UserError` unless Keras uses its TensorFlow backend."""
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            "adversarial training needs KERAS_BACKEND=tensorflow. Received: "
            f"{keras.backend.backend()}"
        )


class AdversarialTrainer(keras.Model):
    """A model that trains on adversarial images of each batch.

    PGD and the training step are compiled as one graph, so images stay on the
    device between PGD's steps.

    Args:
        model: a Keras model from images in [0, 1] to logits.
        config: the `Config` of the attack; with `num_steps=0` the model trains
            on the images themselves.
        attack_mode: `"train"`: the attack runs the model in training mode, as
            the original does. Batch normalization uses the batch's statistics,
            and each PGD step moves its averages. A PeerNet takes the batch as
            its graph, so the gradient of an image passes through the others,
            and each step draws its dropouts. `"eval"`: the attack runs the
            model in inference mode, with moving averages and the peers that the
            model stores.
        backward: the backward pass of PeerRegularization layers that the attack
            follows, see `peernets_tf.adaptive.bpda`.
        seed: int, the seed of the random starts.

    Raises:
        UserError: if an argument is not one of its values, or Keras has another
            backend than TensorFlow.
    """

    def __init__(
        self,
        model: keras.Model,
        config: Config,
        *,
        attack_mode: str = "train",
        backward: str = "exact",
        seed: int = 0,
    ) -> None:
        super().__init__(name=f"adversarial_{model.name}")
        check_backend()
        if attack_mode not in MODES:
            raise UserError(
                f"`attack_mode` must be one of {', '.join(MODES)}. Received: "
                f"{attack_mode}"
            )
        self.model = model
        self._config = config
        self._attacker_model = functools.partial(
            adaptive.bpda(model, backward), training=attack_mode == "train"
        )
        # Checkpoints find its state by this name.
        self._random_starts = keras.random.SeedGenerator(
            seed, name="random_starts"
        )
        # It has no weights of its own to build.
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        return self.model(images, training=training)

    def train_step(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        images = self.perturb(images, labels)
        return super().train_step((images, labels, weights))

    def perturb(self, images: Tensor, labels: Tensor) -> Tensor:
        """Returns the last iterates of L-infinity PGD.

        Args:
            images: float tensor of shape `(B, H, W, C)` in [0, 1].
            labels: int tensor of shape `(B,)`.
        """
        config = self._config
        images = ops.convert_to_tensor(images)
        if not config.num_steps:
            return images
        epsilon = config.epsilon / 255
        start = images
        if config.random_start:
            noise = keras.random.uniform(
                ops.shape(images), -epsilon, epsilon, seed=self._random_starts
            )
            start = ops.clip(images + noise, 0.0, 1.0)
        radius = ops.full(ops.shape(labels), epsilon, dtype=images.dtype)
        ascent = attacks.Ascent(
            norm="linf", loss=LOSSES[config.loss_func], keep_best=False
        )
        ascended = ascent.run(
            self._attacker_model,
            start,
            images,
            labels,
            radius,
            ops.full_like(radius, config.step_size / 255),
            config.num_steps,
        )
        return ops.stop_gradient(ascended.last)
