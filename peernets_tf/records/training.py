"""The record of a training: what it reached, and from where it started."""

import dataclasses
from typing import ClassVar

from peernets_tf.records.counts import check_counts, check_not_negative
from peernets_tf.records.schema import Graphs, Provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialModel:
    """The trained model whose weights a training started from.

    Attributes:
        path: str, its file or the name of a preset.
        model: str, its name.
        epochs: int or None, the epochs that it was trained for, with those of
            the models that it started from itself.
        weights_sha256: str, the hash of its weights.
    """

    path: str
    model: str
    epochs: int | None
    weights_sha256: str

    def __post_init__(self) -> None:
        check_not_negative(epochs=self.epochs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What one training reached.

    Attributes:
        model: str, the model's name.
        weights_sha256: str, the hash of its weights, stored peers included.
        dataset: str, the data set's name.
        train_size: int, the number of training images.
        test_size: int, the number of test images.
        correct: int, test images classified correctly, with logits averaged
            over all graphs.
        num_parameters: int or None, the model's weights, those of batch
            normalization's statistics included and stored peers not; None in
            records of earlier versions.
        graphs: the `Graphs` of the test, or None for a model without peers.
        history: tuple of dicts, one for each epoch: epoch, loss, accuracy,
            val_loss and val_accuracy.
        initial_model: the `InitialModel`, or None for random weights.
        attack: str or None, the attack on each batch, with all its settings, of
            an adversarial training; None for training on unperturbed images.
        num_steps: int or None, the steps of a training that counts these
            instead of epochs; its history then has a row for each checkpoint.
        defense: str or None, the defence, with all its settings, that was
            trained and put in front of the initial model.
        rejected: int or None, the test images that the defence rejects; None if
            it rejects none.
        provenance: the `Provenance`; its seconds are those of training.
    """

    kind: ClassVar[str] = "training"

    model: str
    weights_sha256: str
    dataset: str
    train_size: int
    test_size: int
    correct: int
    num_parameters: int | None = None
    graphs: Graphs | None = None
    history: tuple[dict[str, int | float], ...]
    initial_model: InitialModel | None = None
    attack: str | None = None
    num_steps: int | None = None
    defense: str | None = None
    rejected: int | None = None
    provenance: Provenance

    def __post_init__(self) -> None:
        check_counts("train_size", self.train_size)
        check_counts(
            "test_size",
            self.test_size,
            correct=self.correct,
            rejected=self.rejected,
        )
        check_not_negative(
            num_parameters=self.num_parameters, num_steps=self.num_steps
        )

    @property
    def accuracy(self) -> float:
        """Test accuracy in [0, 1]."""
        return self.correct / self.test_size

    @property
    def total_epochs(self) -> int | None:
        """Epochs trained, with those of the models that it started from.

        None if they are not known, or a training counted steps instead.
        """
        if self.num_steps is not None or self.defense is not None:
            return None
        if self.initial_model is None:
            return len(self.history)
        if self.initial_model.epochs is None:
            return None
        return self.initial_model.epochs + len(self.history)

    @property
    def epochs(self) -> str:
        """Epochs trained, those of the initial model first: `8 + 8`.

        Where steps are counted, it names them: `8 + 3900 steps`. A defence adds
        its name: `18 + MagNet`.
        """
        own = str(len(self.history))
        if self.defense is not None:
            own = self.defense.partition("(")[0]
        if self.num_steps is not None:
            own = f"{self.num_steps} steps"
        if self.initial_model is None:
            return own
        return f"{self.initial_model.epochs or '?'} + {own}"
