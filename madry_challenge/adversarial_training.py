"""Adversarial training: each training step attacks its batch first.

Source: Madry et al. (2018), *Towards Deep Learning Models Resistant to
Adversarial Attacks*.
"""

import functools

import keras
from keras import ops

from madry_challenge.config import LOSSES, Config
from madry_challenge.options import MODES, check_backend
from peernets_tf import adaptive, attacks
from peernets_tf.errors import UserError
from peernets_tf.types import Tensor


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
