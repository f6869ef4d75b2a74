"""What is attacked: a model, as it is defended and attacked, and images."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from peernets_tf import datasets, seeds
from peernets_tf.attacks import (
    Attack,
    Classifier,
    checks,
    losses,
    rejection,
)
from peernets_tf.evaluation.image_bar import ImageBar, image_bar
from peernets_tf.evaluation.shard import Shard
from peernets_tf.evaluation.strength import Strength
from peernets_tf.lazy import ops
from peernets_tf.seeds import Stream


class Perturbed(NamedTuple):
    """A batch of adversarial images, as the defended model sees them.

    Attributes:
        change: float array of shape `(B, H W C)`, the perturbations.
        logits: float array of shape `(B, classes)`, by which the images are
            judged: without rejection if that counts as right, see
            `attacks.rejection.merged`.
        predictions: int array of shape `(B,)`, the likeliest of these classes.
        rejected: bool array of shape `(B,)`.
        queries: int, images whose logits the attack computed.
    """

    change: NDArray[np.float32]
    logits: NDArray[np.float32]
    predictions: NDArray[np.int32]
    rejected: NDArray[np.bool_]
    queries: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """What is attacked.

    Attributes:
        defended: the `Classifier` whose predictions count.
        attacker: the `Classifier` whose gradient the attack follows: that of
            the same model, perhaps with other graphs of peers or another
            backward pass, or that of another model.
        test: the `Split` whose images are attacked.
        num_classes: int, without rejection.
        batch_size: int, images attacked at once.
        seed: int.
        targeted: bool, whether attacks receive random other classes to reach
            instead of the labels to leave.
        rejected_as: `"wrong"`, `"right"` or None, what a rejected adversarial
            image counts as. The model's last logit is then that of rejection.
            A rejected unperturbed image always counts as wrong.
        shard: the `Shard`, which of the batches are attacked.
        attempt: int, which attempt this is: another one draws other random
            numbers for attacks.
    """

    defended: Classifier
    attacker: Classifier
    test: datasets.Split
    num_classes: int
    batch_size: int
    seed: int
    targeted: bool = False
    rejected_as: str | None = None
    shard: Shard = Shard()
    attempt: int = 0

    def target_labels(
        self, number: int, labels: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """Returns the labels that an attack on a batch receives.

        They are the true labels or, for a targeted attack, random other
        classes.
        """
        if not self.targeted:
            return labels
        rng = seeds.generator(Stream.TARGET_LABELS, self.seed, number)
        other = rng.integers(1, self.num_classes, len(labels))
        return ((labels + other) % self.num_classes).astype(np.int32)

    def defended_logits(
        self, number: int, images: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Returns the logits that count, `(B, classes)`.

        What a random model draws for them depends on the seed and the batch
        only: neither on the attack nor on how often the run was interrupted.

        Args:
            number: int, the batch's number.
            images: float array of shape `(B, H, W, C)`, adversarial or not.
        """
        with self.defended.seeded(self.seed, number):
            return self.defended.logits(images)

    def bar(self, name: str) -> contextlib.AbstractContextManager[ImageBar]:
        """Returns a bar over the images, moved by the queries of both."""
        total = sum(len(batch) for _, batch in self.batches())
        return image_bar(name, total, (self.attacker, self.defended))

    @property
    def num_batches(self) -> int:
        """The batches of all shards."""
        return -(-len(self.test) // self.batch_size)

    def batches(self) -> Iterator[tuple[int, datasets.Split]]:
        """Yields the number and the images of each batch of the shard."""
        for number in self.shard.batches(self.num_batches):
            start = number * self.batch_size
            part = slice(start, start + self.batch_size)
            yield (
                number,
                datasets.Split(
                    images=self.test.images[part], labels=self.test.labels[part]
                ),
            )

    def perturb(
        self,
        attack: Attack,
        strength: Strength,
        number: int,
        batch: datasets.Split,
    ) -> Perturbed:
        """Attacks a batch and checks what comes out.

        Args:
            attack: the `Attack`.
            strength: the `Strength`; every perturbation must lie in its ball.
            number: int, the batch's number, from which the attack's seed
                follows.
            batch: the `Split` of the batch.

        Raises:
            AttackError: if an adversarial image lies outside [0, 1] or the
                ball, or logits are not finite.
        """
        labels = self.target_labels(number, batch.labels)
        rng = seeds.generator(Stream.ATTACK, self.seed, number, self.attempt)
        before = self.attacker.queries
        adversarial = attack(
            self.attacker, batch.images, labels, seed=int(rng.integers(2**31))
        )
        queries = self.attacker.queries - before
        change = (adversarial - batch.images).reshape(len(batch), -1)
        if strength.clip:
            checks.check_images(adversarial)
        checks.check_ball(change, strength.epsilon, strength.norm)
        logits = self.defended_logits(number, adversarial)
        predictions = losses.classes_of(logits)
        checks.check_predictions(predictions)
        rejected = self.is_rejected(predictions)
        if self.rejected_as == "right":
            logits = ops.convert_to_numpy(
                rejection.merged(logits, batch.labels)
            )
            predictions = losses.classes_of(logits)
        return Perturbed(change, logits, predictions, rejected, queries)

    def is_rejected(self, predictions: Any) -> NDArray[np.bool_]:
        """Whether the model rejects images, bool `(B,)`.

        Args:
            predictions: int array of shape `(B,)`, the classes of largest
                logits.
        """
        is_last = np.asarray(predictions) == self.num_classes
        return is_last & (self.rejected_as is not None)
