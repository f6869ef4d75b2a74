"""Notices that the peers which a layer stores are older than the weights."""

import warnings
import weakref
from typing import Any

import keras

from peernets_tf.layers import keras_internals


class PeerAge:
    """The age of the peers that one layer stores.

    Peers are features that the weights computed. So the values that the layer's
    own weights and random state had then are kept, and the peers are old once
    one of these differs. The random state counts training steps with dropout,
    also while the layer is frozen.

    The values are compared where Python runs: in every eager call, in every
    trace, and when `evaluate` or `predict` of a model begins that ran the layer
    before.
    """

    def __init__(self, layer: Any) -> None:
        """Keeps the age of the peers of a `PeerRegularization` layer."""
        self._layer = layer
        self._stored: bytes | None = None
        self._models: weakref.WeakSet[keras.Model] = weakref.WeakSet()

    def is_old(self) -> bool:
        """Whether the layer changed after its peers were stored."""
        if self._layer.peers is None:
            return False
        # JAX shows no values within `fit` and `evaluate`.
        state = self._state()
        return state is not None and state != self._stored

    def note_storing(self, *, new_variable: bool) -> None:
        """Notes that peers were stored, or dropped."""
        self._stored = self._state()
        if new_variable:
            for model in self._models:
                keras_internals.compile_again(model)

    def note_training(self) -> keras_internals.Step | None:
        """Notes that the layer trains; returns the model's running step."""
        step = keras_internals.running_step()
        if step is not None:
            self._watch(step.model)
        return step

    def note_inference(self) -> None:
        """Notes that stored peers are used, and warns if they are old."""
        step = keras_internals.running_step()
        # An attack within a training step uses peers between two refreshes, and
        # a model that is watched has warned when its inference began.
        if step is None or (
            step.name != "train_step" and self._watch(step.model)
        ):
            self.warn_if_old()

    def warn_if_old(self) -> None:
        """Warns that the peers are older than the weights, if they are."""
        if self.is_old():
            warnings.warn(
                "The stored peers are older than the model's weights: call "
                "peernets_tf.set_peers(model, images) again after the weights "
                "change, or train with the callback peernets_tf.RefreshPeers.",
                stacklevel=2,
            )

    def _watch(self, model: keras.Model) -> bool:
        """Watches a model from now on; returns whether it is a new one."""
        if model in self._models:
            return False
        self._models.add(model)
        keras_internals.before_inference(model, self.warn_if_old)
        return True

    def _state(self) -> bytes | None:
        return keras_internals.current_values(
            [
                self._layer.query_kernel,
                self._layer.key_kernel,
                self._layer.bias,
                self._layer.seed_generator.state,
            ]
        )
