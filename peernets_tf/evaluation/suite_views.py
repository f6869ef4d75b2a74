"""One model as it is defended, and as attackers of several kinds see it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf import adaptive, peers
from peernets_tf.attacks import Classifier, checks
from peernets_tf.evaluation.suite_step import Step, Traits
from peernets_tf.evaluation.threat_model import ChosenGraphs
from peernets_tf.types import LogitsFunction, Tensor

# A random model's prediction is the class of the mean logits of these calls.
_DRAWS = 20
# Outputs of two calls that differ by less, relative to the largest, only round
# differently: AutoAttack's threshold.
_ROUNDING = 1e-4
# The smallest probability whose logarithm is taken.
_SMALLEST_PROBABILITY = 1e-37


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """What two calls of a model with the same images show.

    Attributes:
        num_classes: int, the number of outputs.
        are_probabilities: bool, whether they are probabilities.
        variation: float, the largest difference between the two calls, relative
            to the largest output; 0 if it is mere rounding.
    """

    num_classes: int
    are_probabilities: bool
    variation: float

    @classmethod
    def of(cls, logits_fn: LogitsFunction, images: NDArray[Any]) -> Self:
        """Calls a function from images `(B, H, W, C)` to logits twice.

        Raises:
            AttackError: if logits are not finite.
        """
        first, second = (
            ops.convert_to_numpy(logits_fn(images)) for _ in range(2)
        )
        for outputs in (first, second):
            checks.check_finite(np.isfinite(outputs).all(axis=1), "logits")
        largest = max(float(np.max(np.abs(first))), 1e-30)
        variation = float(np.max(np.abs(first - second))) / largest
        return cls(
            num_classes=first.shape[-1],
            are_probabilities=checks.are_probabilities(first),
            variation=variation if variation > _ROUNDING else 0.0,
        )


class Views:
    """Classifiers of one model, each made and compiled once.

    Args:
        model: a Keras model or a function, see `robust_accuracy`.
        images: float array of shape `(B, H, W, C)`, some images to call the
            model with.
        graphs: the `ChosenGraphs`, None for a model without peers.
        transfer_model: another model or function, or None.

    Attributes:
        outputs: the `Outputs` of the model.
        traits: the `Traits` by which steps are chosen.
        defended: the `Classifier` whose predictions count.
    """

    def __init__(
        self,
        model: keras.Model | LogitsFunction,
        images: NDArray[Any],
        graphs: ChosenGraphs | None,
        transfer_model: keras.Model | LogitsFunction | None,
    ) -> None:
        self._model = model
        self._graphs = graphs
        self._transfer_model = transfer_model
        self._attackers: dict[str, Classifier] = {}
        defended = _with_graphs(model, graphs.defended if graphs else None)
        self.outputs = Outputs.of(defended, images)
        self.traits = Traits(
            num_classes=self.outputs.num_classes,
            has_peers=graphs is not None,
            is_random=self.outputs.variation > 0,
            has_transfer_model=transfer_model is not None,
        )
        defended = self._as_logits(defended)
        if self.traits.is_random:
            defended = functools.partial(_mean_logits, defended)
        self.defended = Classifier(defended)

    def attacker(self, backward: str) -> Classifier:
        """Returns the model that attacks follow with a backward pass."""
        if backward not in self._attackers:
            graphs = self._graphs
            view = _with_graphs(
                self._model, graphs.attacker if graphs else None
            )
            if graphs is not None:
                view = adaptive.bpda(view, backward)
            self._attackers[backward] = Classifier(self._as_logits(view))
        return self._attackers[backward]

    def attacker_of(self, step: Step) -> Classifier:
        """Returns the model that a step attacks."""
        if step.access != "transfer":
            return self.attacker(step.backward)
        if "transfer" not in self._attackers:
            assert self._transfer_model is not None
            view = _with_graphs(self._transfer_model, None)
            self._attackers["transfer"] = Classifier(view)
        return self._attackers["transfer"]

    def may_stop(self, step: Step) -> bool:
        """Whether what fools the attacked model also fools the defended one."""
        graphs = self._graphs and self._graphs.record
        same = graphs is None or graphs.defended == graphs.attacker
        is_other = step.access == "transfer" or self.traits.is_random
        return same and not is_other

    def _as_logits(self, logits_fn: LogitsFunction) -> LogitsFunction:
        if not self.outputs.are_probabilities:
            return logits_fn
        return functools.partial(_log_probabilities, logits_fn)


def _with_graphs(
    model: keras.Model | LogitsFunction, bank: peers.PeerBank | None
) -> LogitsFunction:
    """Returns a model whose logits average over the graphs of a bank."""
    if not isinstance(model, keras.Model):
        return model
    return peers.monte_carlo(model, bank)


def _log_probabilities(function: LogitsFunction, images: Tensor) -> Tensor:
    """Returns logits whose softmax are the probabilities of a function."""
    probabilities = function(images)
    return ops.log(ops.maximum(probabilities, _SMALLEST_PROBABILITY))


def _mean_logits(logits_fn: LogitsFunction, images: Tensor) -> Tensor:
    """Returns the mean of the logits of several calls."""

    def add(_: Tensor, total: Tensor) -> Tensor:
        return total + logits_fn(images)

    return ops.fori_loop(1, _DRAWS, add, logits_fn(images)) / _DRAWS
