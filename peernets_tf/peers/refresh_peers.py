"""A Keras callback that keeps the stored peers as new as the weights."""

from typing import Any

import keras

from peernets_tf.errors import UserError
from peernets_tf.layers import keras_internals
from peernets_tf.peers.bank import peer_layers
from peernets_tf.peers.drawing import check_drawing, draw_peers
from peernets_tf.peers.images import to_array
from peernets_tf.peers.storage import set_peers
from peernets_tf.seeds import Stream


class RefreshPeers(keras.callbacks.Callback):
    """Stores one graph of newly drawn peers whenever `fit` needs them.

    It stores peers before the first step, before each validation, and at the
    end of training. So `evaluate`, `predict` and `save` use peers of the final
    weights. Before the first step it keeps the stored peers if they belong to
    the present weights and are one graph of `num_peers` images, as in a
    restored checkpoint.

    List it after callbacks that change the weights. `fit` raises an error if
    one with `restore_best_weights=True`, such as
    `keras.callbacks.EarlyStopping`, stands behind it; others are not noticed.

    Example:

    ```python
    model.fit(
        images,
        labels,
        validation_data=(test_images, test_labels),
        callbacks=[RefreshPeers(images, 50)],
    )
    ```

    Args:
        images: the N' training images, in the range that the model takes: array
            or tensor of shape `(N', H, W, C)`, or a `tf.data.Dataset` or other
            iterable of images, of batches, or of (images, labels). It is read
            once, and all images are held in memory.
        num_peers: int, N, the number of images in the graph.
        seed: int, the seed of the draws. Each epoch draws other images.

    Raises:
        UserError: if `images` are not finite images, or `num_peers` is not
            between 1 and N'; at the beginning of training, if the model holds
            no PeerRegularization layer, or if a callback after this one
            restores other weights.
    """

    def __init__(self, images: Any, num_peers: int, seed: int = 0) -> None:
        super().__init__()
        self._images = to_array(images)
        check_drawing(self._images, num_peers)
        self._num_peers = num_peers
        self._seed = seed
        self._epoch = 0

    def store(self, model: keras.Model, epoch: int) -> None:
        """Stores the graph of one epoch in a model.

        Args:
            model: a built Keras model that holds PeerRegularization layers.
            epoch: int, counted from 0.
        """
        seed = (int(Stream.VALIDATION_PEERS), self._seed, epoch)
        set_peers(model, draw_peers(self._images, self._num_peers, seed=seed))

    def on_train_begin(self, logs: Any = None) -> None:
        self._check_is_last_to_change()
        # The JAX backend takes no new variables while it trains.
        if not self._is_fresh(self.model):
            self.store(self.model, epoch=0)
            # With several devices, Keras has counted the variables already.
            keras_internals.compile_again(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_test_begin(self, logs: Any = None) -> None:
        self.store(self.model, self._epoch)

    def on_train_end(self, logs: Any = None) -> None:
        self.store(self.model, self._epoch)

    def _check_is_last_to_change(self) -> None:
        callbacks = keras_internals.callbacks_of_fit(self.model)
        # None outside of `fit`, or within another callback.
        place = callbacks.index(self) if self in callbacks else len(callbacks)
        for callback in callbacks[place:]:
            if getattr(callback, "restore_best_weights", False):
                raise UserError(
                    "callbacks with restore_best_weights=True must stand "
                    "before RefreshPeers, whose peers else belong to other "
                    f"weights. Received: {type(callback).__name__} behind it; "
                    "list RefreshPeers last"
                )

    def _is_fresh(self, model: keras.Model) -> bool:
        layers = peer_layers(model)
        return bool(layers) and all(
            layer.peers is not None
            and tuple(layer.peers.shape[:2]) == (1, self._num_peers)
            and not layer.peers_are_old
            for layer in layers
        )
