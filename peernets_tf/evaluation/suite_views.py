"""One model as it is defended, and as attackers of several kinds see it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf import adaptive, peers
from peernets_tf.attacks import Attack, Classifier, Rejecting, checks, draws
from peernets_tf.errors import AttackError, UserError, naming
from peernets_tf.evaluation.suite_step import Step, Traits
from peernets_tf.evaluation.threat_model import (
    ChosenGraphs,
    attackers_view,
    padded_size,
)
from peernets_tf.layers import PeerRegularization, peer_scope
from peernets_tf.types import LogitsFunction, Tensor

# A random model's prediction is the class of the mean logits of these calls.
_DRAWS = 20
# A choice between two values is the same in all of these calls in 6 % of cases.
_CALLS = 5
# Outputs of two calls that differ by less, relative to the largest, only round
# differently: AutoAttack's threshold.
_ROUNDING = 1e-4
# The smallest probability whose logarithm is taken.
_SMALLEST_PROBABILITY = 1e-37


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """What calls of a model with the same images show.

    Attributes:
        num_classes: int, the number of outputs.
        are_probabilities: bool, whether they are probabilities.
        variation: float, the largest difference between two calls that differ,
            relative to the largest output; 0 if they differ by mere rounding.
    """

    num_classes: int
    are_probabilities: bool
    variation: float

    @classmethod
    def of(cls, classifier: Classifier, images: NDArray[Any]) -> Self:
        """Calls a model with images `(B, H, W, C)`, compiled and not.

        What is random by `attacks.draws` differs in compiled calls only, and
        what compiling would fix in others only. So both are compared. A choice
        of a few values may be the same in some calls, so there are many.

        Raises:
            AttackError: if logits are not finite or not of shape `(B,
                classes)`, or compiling fixes what the model draws.
        """
        # Refuses several outputs.
        classifier.logits_shape(images.shape)

        def call(logits_fn: LogitsFunction) -> NDArray[np.float32]:
            return _checked_outputs(logits_fn(images))

        def vary(logits_fn: LogitsFunction, number: int) -> float:
            first = call(logits_fn)
            others = (call(logits_fn) for _ in range(number - 1))
            # The first difference ends the calls.
            found = (_variation(first, outputs) for outputs in others)
            return next(filter(None, found), 0.0)

        # JAX refuses here what an uncompiled call would leave unusable.
        compiled = vary(classifier.logits, 2)
        variation = vary(classifier.logits_fn, _CALLS)
        if variation and not compiled:
            compiled = vary(classifier.logits, _DRAWS)
        if variation and not compiled:
            raise AttackError(
                "calls of the model differ, but not once it is compiled for "
                "attacks: draw its random numbers with keras.random, not with "
                "NumPy, and on the TensorFlow backend. Received: outputs that "
                f"differ by {variation:.1%}"
            )
        outputs = call(classifier.logits)
        return cls(
            num_classes=outputs.shape[-1],
            are_probabilities=checks.are_probabilities(outputs),
            variation=variation or compiled,
        )


class Views:
    """Classifiers of one model, each made and compiled once.

    Args:
        model: a Keras model or a function, see `robust_accuracy`.
        images: float array of shape `(B, H, W, C)`, the first batch, with which
            the model is called. No other batch is larger.
        graphs: the `ChosenGraphs`, None for a model without peers.
        transfer_model: another model or function, or None.
        rejected_as: str or None, see `SuiteConfig`.

    Raises:
        UserError: if a model runs PeerRegularization layers that it does not
            hold, so that attacks could not reach them.
        AttackError: if logits are not finite, or the outputs of the other model
            are probabilities.

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
        rejected_as: str | None = None,
    ) -> None:
        self._model = model
        self._graphs = graphs
        self._transfer_model = transfer_model
        self._rejected_as = rejected_as
        if transfer_model is not None:
            other = _with_graphs(transfer_model, None)
            with (
                naming("transfer_model"),
                _refusing_hidden_peers(transfer_model),
            ):
                logits = _checked_outputs(other(images))
                checks.check_logits(logits)
        self._attackers: dict[tuple[str, int | None], Classifier] = {}
        self._batch_size = len(images)
        defended = _with_graphs(model, graphs.defended if graphs else None)
        self.defended = self._classifier(defended)
        with _refusing_hidden_peers(model):
            self.outputs = Outputs.of(self.defended, images)
        if transfer_model is not None and logits.shape[1] < self.num_classes:
            raise AttackError(
                "transfer_model must have a logit for each of the model's "
                f"{self.num_classes} classes. Received: {logits.shape[1]}"
            )
        self.traits = Traits(
            num_classes=self.num_classes,
            has_peers=graphs is not None,
            has_bpda=graphs is not None
            or isinstance(model, keras.Model)
            and adaptive.hides_gradient(model),
            has_guides=graphs is not None
            and len(graphs.attacker.common_classes) > 1,
            guesses_graphs=_num_redrawn(graphs) is not None,
            is_random=self._draws_graphs or self.outputs.variation > 0,
            has_transfer_model=transfer_model is not None,
        )
        if self.outputs.are_probabilities or self.outputs.variation:
            defended = self._as_logits(defended)
            if self.outputs.variation:
                defended = functools.partial(_mean_logits, defended)
            self.defended = self._classifier(defended)

    @property
    def num_classes(self) -> int:
        """The classes, without rejection."""
        return self.outputs.num_classes - (self._rejected_as is not None)

    def attacker(
        self, backward: str, num_redrawn: int | None = None
    ) -> Classifier:
        """Returns the model that attacks follow with a backward pass.

        Args:
            backward: one of `adaptive.BACKWARDS`.
            num_redrawn: int or None, the graphs drawn anew in each step of an
                attack; None for what the threat model says.
        """
        key = (backward, num_redrawn)
        if key not in self._attackers:
            view = self._view(num_redrawn)
            if self._graphs is not None or backward != "exact":
                view = adaptive.bpda(view, backward)
            self._attackers[key] = self._attacked(view)
        return self._attackers[key]

    @functools.cached_property
    def black_box(self) -> Classifier:
        """The defended model, as attacks without a gradient query it."""
        bank = self._graphs.defended if self._graphs else None
        return self._attacked(_with_graphs(self._model, bank))

    def attacker_of(self, step: Step) -> Classifier:
        """Returns the model that a step attacks."""
        if step.access == "transfer":
            return self._transfer(step.backward)
        if step.access == "black-box" and not self._knows_graphs:
            return self.black_box
        num_redrawn = (
            _num_redrawn(self._graphs) if step.redraws_graphs else None
        )
        return self.attacker(step.backward, num_redrawn)

    def with_guides(self, attack: Attack, step: Step) -> Attack:
        """Returns an attack with the peers that it pulls towards, if any."""
        if not isinstance(attack, adaptive.NeighborGuided):
            return attack
        assert self._graphs is not None
        guides = adaptive.Guides(
            model=self._model,
            bank=self._graphs.attacker,
            backward=step.backward,
        )
        count = min(attack.guides_per_pixel, guides.fewest_pixels)
        return dataclasses.replace(
            attack, guides=guides, guides_per_pixel=count
        )

    def may_stop(self, step: Step) -> bool:
        """Whether what fools the attacked model also fools the defended one."""
        if step.access == "transfer" or self.outputs.variation:
            return False
        return step.access == "black-box" or self._knows_graphs

    def is_random(self, step: Step) -> bool:
        """Whether two calls of the model that a step attacks may differ.

        Those of steps that draw graphs anew by themselves do not count.
        """
        if step.access == "transfer":
            return False
        if step.access == "black-box":
            return self.outputs.variation > 0
        return self.traits.is_random

    @property
    def _draws_graphs(self) -> bool:
        """Whether each step of all attacks draws graphs anew."""
        return self._graphs is not None and bool(
            self._graphs.record.expectation
        )

    @property
    def _knows_graphs(self) -> bool:
        """Whether attacks follow the very graphs of the predictions."""
        return self._graphs is None or self._graphs.record.is_known

    def _attacked(self, view: LogitsFunction) -> Classifier:
        """Returns the classifier of logits that an attack lowers."""
        view = self._as_logits(view)
        if self._rejected_as == "right":
            view = Rejecting(view)
        return self._classifier(view)

    def _classifier(self, view: LogitsFunction) -> Classifier:
        """Returns the classifier of a view of the model."""
        batch_size = padded_size(self._model, self._batch_size)
        return Classifier(view, batch_size=batch_size)

    def _transfer(self, backward: str) -> Classifier:
        model = self._transfer_model
        assert model is not None
        view = _with_graphs(model, None)
        if isinstance(model, keras.Model):
            view = adaptive.bpda(view, backward)
        batch_size = padded_size(model, self._batch_size)
        return Classifier(view, batch_size=batch_size)

    def _view(self, num_redrawn: int | None) -> LogitsFunction:
        """Returns the model with the attacker's graphs."""
        if self._graphs is None:
            return _with_graphs(self._model, None)
        return attackers_view(self._model, self._graphs, num_redrawn)

    def _as_logits(self, logits_fn: LogitsFunction) -> LogitsFunction:
        if not self.outputs.are_probabilities:
            return logits_fn
        return functools.partial(_log_probabilities, logits_fn)


def _num_redrawn(graphs: ChosenGraphs | None) -> int | None:
    """Returns half of the attacker's graphs, None if it need not guess any.

    It need not if it knows those of the predictions, has one only, or draws
    graphs in all attacks.
    """
    if graphs is None:
        return None
    record = graphs.record
    if record.attacker == record.defended or record.expectation:
        return None
    return record.attacker.num_graphs // 2 or None


@contextlib.contextmanager
def _refusing_hidden_peers(
    model: keras.Model | LogitsFunction,
) -> Iterator[None]:
    """Refuses calls of a model that runs peers, but does not hold them.

    Their gradient may be masked, and no attack could follow another. A
    `tf.function` that ran before, on images of the same shape, goes unnoticed.
    """
    found: list[PeerRegularization] = []
    with peer_scope(recorder=lambda call: found.append(call.layer)):
        yield
    held = peers.peer_layers(model) if isinstance(model, keras.Model) else []
    hidden = [layer for layer in found if not any(layer is x for x in held)]
    if hidden:
        raise UserError(
            "a function, or a Lambda layer, must not run PeerRegularization "
            "layers: attacks can follow their backward passes (BPDA) only in a "
            "Keras model that holds them. Give such a model. Received: a "
            f"model that runs layer '{hidden[0].name}', but does not hold it"
        )


def _checked_outputs(outputs: Any) -> NDArray[np.float32]:
    checks.check_outputs(keras.tree.map_structure(ops.shape, outputs))
    outputs = ops.convert_to_numpy(outputs)
    checks.check_finite(np.isfinite(outputs).all(axis=1), "logits")
    return outputs


def _variation(first: NDArray[Any], second: NDArray[Any]) -> float:
    largest = max(float(np.max(np.abs(first))), 1e-30)
    variation = float(np.max(np.abs(first - second))) / largest
    return variation if variation > _ROUNDING else 0.0


def _with_graphs(
    model: keras.Model | LogitsFunction, bank: peers.PeerBank | None
) -> LogitsFunction:
    """Returns a model whose logits average over the graphs of a bank."""
    if not isinstance(model, keras.Model):
        return model
    return peers.monte_carlo(model, bank)


def _log_probabilities(function: LogitsFunction, images: Tensor) -> Tensor:
    """Returns logits whose softmax are the probabilities of a function.

    Smaller probabilities than the smallest are raised to it.
    """
    probabilities = function(images)
    smallest = _SMALLEST_PROBABILITY
    if keras.backend.standardize_dtype(probabilities.dtype) == "float16":
        # The gradient of the logarithm, 1 / p, must fit into float16.
        smallest = 1e-4
    probabilities = ops.cast(probabilities, "float32")
    return ops.log(ops.maximum(probabilities, smallest))


def _mean_logits(logits_fn: LogitsFunction, images: Tensor) -> Tensor:
    """Returns the mean of the logits of several calls."""
    return draws.mean(lambda: logits_fn(images), _DRAWS)
