"""Notices that the peers which a layer stores are older than the weights."""

import warnings
import weakref

import keras

from peernets_tf.layers import keras_internals


class PeerAge:
    """The age of the peers that one layer stores.

    Peers are features that the weights computed, so they are old once the model
    was trained. This is noticed where Python runs the layer: in every eager
    call, and whenever Keras traces `fit`, `evaluate` or `predict`. Keras keeps
    what it traced, so the models that use the layer are remembered and trace
    again after the peers were replaced and after training began.

    Attributes:
        is_old: bool, whether the layer was trained after its peers were stored.
    """

    def __init__(self) -> None:
        self.is_old = False
        self._models: weakref.WeakSet[keras.Model] = weakref.WeakSet()

    def note_storing(self, *, new_variable: bool) -> None:
        """Notes that peers were stored, or dropped."""
        self.is_old = False
        # Within `fit`, a callback that stores peers does so in every epoch.
        outside_fit = keras_internals.fit_validates() is None
        self._compile_again(inference=new_variable, training=outside_fit)

    def note_training(self, *, has_peers: bool) -> None:
        """Notes that the layer runs, or is traced, in training mode."""
        self._remember_model()
        if has_peers and not self.is_old:
            self.is_old = True
            self._compile_again(inference=True, training=False)

    def note_inference(self) -> None:
        """Notes that stored peers are used, and warns if they are old."""
        step = self._remember_model()
        # An attack within a training step uses peers between two refreshes.
        if step is None or step.name != "train_step":
            self.warn_if_old()

    def warn_if_old(self) -> None:
        """Warns that the peers are older than the weights, if they are."""
        if self.is_old:
            warnings.warn(
                "The stored peers are older than the model's weights: call "
                "peernets_tf.set_peers(model, images) again after training, or "
                "train with the callback peernets_tf.RefreshPeers.",
                stacklevel=2,
            )

    def _remember_model(self) -> keras_internals.Step | None:
        step = keras_internals.running_step()
        if step is not None:
            self._models.add(step.model)
        return step

    def _compile_again(self, *, inference: bool, training: bool) -> None:
        for model in self._models:
            keras_internals.compile_again(
                model, inference=inference, training=training
            )
