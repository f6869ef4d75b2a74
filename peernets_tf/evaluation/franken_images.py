"""Logs Franken-images to TensorBoard while a PeerNet trains."""

import importlib.util
import os
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import datasets
from peernets_tf.errors import UserError
from peernets_tf.evaluation.explanation import draw_graph, explain
from peernets_tf.seeds import Stream

# With both, Keras writes TensorBoard's files on every backend.
_PACKAGES = ("tensorflow", "tensorboard")


class LogFrankenImages(keras.callbacks.Callback):
    """Logs some images beside their Franken-images after each epoch.

    Each logged picture is a strip: the image, then its Franken-image of each
    PeerRegularization layer, see `explain`. The peers are those of the epoch's
    validation. TensorBoard's files are written by Keras's own callback, which
    needs TensorFlow on every backend.

    Args:
        dataset: the `datasets.Dataset` of the peers and of the images, the
            first test images.
        num_peers: int, N, the images of the validation graph.
        seed: int, the seed of the training.
        output_dir: str, the folder of the training; logs go to
            tensorboard/franken_images in it.
        num_images: int, how many images are logged.

    Raises:
        UserError: if a package is missing, images are neither grey nor RGB, or
            a file is in the logs' place.
    """

    def __init__(
        self,
        dataset: datasets.Dataset,
        num_peers: int,
        seed: int,
        output_dir: str,
        num_images: int = 8,
    ) -> None:
        super().__init__()
        self._dataset = dataset
        self._num_peers = num_peers
        self._seed = seed
        self._images = dataset.test.images[:num_images]
        if not all(map(importlib.util.find_spec, _PACKAGES)):
            raise UserError(
                "--tensorboard_images needs the packages "
                f"{' and '.join(_PACKAGES)}: pip install 'peernets-tf[cpu]', "
                "or leave it out"
            )
        channels = self._images.shape[-1]
        if channels not in (1, 3):
            raise UserError(
                "--tensorboard_images needs grey or RGB images: leave it out. "
                f"Received: {dataset.name} with {channels} channels"
            )
        folder = os.path.join(output_dir, "tensorboard", "franken_images")
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise UserError(
                f"{folder} must be a folder, for TensorBoard's logs. Received: "
                "a file; remove it or choose another --output_dir"
            )
        self._tensorboard = keras.callbacks.TensorBoard(folder)
        self._writer: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        summary = self._tensorboard.summary
        if self._writer is None:
            self._writer = summary.create_file_writer(self._tensorboard.log_dir)
        with self._writer.as_default():
            summary.image(
                "franken_images",
                self.strips(epoch),
                step=epoch,
                max_outputs=len(self._images),
            )
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()

    def strips(self, epoch: int) -> NDArray[np.float32]:
        """Returns the strips of an epoch, `(B, H, (1 + layers) W, C)`."""
        graph = draw_graph(
            self.model,
            self._dataset,
            seed=epoch,
            num_peers=self._num_peers,
            stream=(int(Stream.VALIDATION_PEERS), self._seed),
        )
        layers = explain(self.model, self._images, graph).layers
        columns = [self._images, *(layer.franken for layer in layers)]
        return np.concatenate(columns, axis=2).clip(0, 1)
