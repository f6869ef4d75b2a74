"""What a PeerNet leaned on: neighbours, attention and Franken-images."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf import datasets, peers
from peernets_tf.errors import UserError
from peernets_tf.evaluation.input_grid import Axis, input_grid
from peernets_tf.layers import PeerCall, peer_scope
from peernets_tf.seeds import Stream

# Section 4.1 of the paper, for MNIST and CIFAR-10.
_NUM_PEERS = 50


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PeerGraph:
    """The images of one graph of peers, and what a model makes of them.

    Attributes:
        images: float32 array of shape `(N, H, W, C)`.
        indices: int array of shape `(N,)`, their places in the training set.
        labels: int array of shape `(N,)`.
        bank: the `PeerBank` of this graph alone.
        is_stored: bool, whether the model stores these peers.
    """

    images: NDArray[np.float32]
    indices: NDArray[np.int_]
    labels: NDArray[np.int32]
    bank: peers.PeerBank
    is_stored: bool


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LayerExplanation:
    """What one PeerRegularization layer made of B images.

    Its map has h x w pixels with C' features and K neighbours each.

    Attributes:
        name: str, the name of the layer.
        grid: the `Axis` of the rows and that of the columns: where the map
            lies in the image.
        peers: int array of shape `(B, h, w, K)`, the number of the neighbour's
            image in the graph.
        rows: int array of shape `(B, h, w, K)`, the neighbour's row in the map
            of that image.
        columns: int array of shape `(B, h, w, K)`.
        attention: float array of shape `(B, h, w, K)`; sums to 1 over K.
        features: float array of shape `(B, h, w, C')`, what reached the layer.
        peer_features: float array of shape `(N, h, w, C')`.
        shares: float array of shape `(B, N)`, the share of each peer image in
            the attention of all pixels; sums to 1 over N. Where many peer
            pixels are alike, such as a black background, the first peers have
            the largest shares, because ties go to the lower index.
        franken: float array of shape `(B, H, W, C)`, the Franken-images, see
            `explain`; 0 where `covered` is false.
        covered: bool array of shape `(H, W)`, the pixels of the image that a
            pixel of the map stands for.
    """

    name: str
    grid: tuple[Axis, Axis]
    peers: NDArray[np.int_]
    rows: NDArray[np.int_]
    columns: NDArray[np.int_]
    attention: NDArray[np.float32]
    features: NDArray[np.float32]
    peer_features: NDArray[np.float32]
    shares: NDArray[np.float32]
    franken: NDArray[np.float32]
    covered: NDArray[np.bool_]

    def neighbor_features(
        self, image: int, row: int, column: int
    ) -> NDArray[np.float32]:
        """Returns the features `(K, C')` of the neighbours of one pixel."""
        place = (image, row, column)
        return self.peer_features[
            self.peers[place], self.rows[place], self.columns[place]
        ]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What a PeerNet made of B images with one graph of peers.

    Attributes:
        logits: float array of shape `(B, classes)`.
        layers: tuple of `LayerExplanation`, in the order in which the image
            passes the layers.
    """

    logits: NDArray[np.float32]
    layers: tuple[LayerExplanation, ...]

    @property
    def shares(self) -> NDArray[np.float32]:
        """The share `(B, N)` of each peer image, the mean over all layers."""
        return np.mean([layer.shares for layer in self.layers], axis=0)


def draw_graph(
    model: keras.Model,
    dataset: datasets.Dataset,
    *,
    seed: int = 0,
    num_peers: int | None = None,
    stream: tuple[int, ...] = (int(Stream.MODEL_PEERS),),
) -> PeerGraph:
    """Draws and encodes one graph of peers, with its images.

    With the seed of the model's training this is the first graph that the
    model stores.

    Args:
        model: a built Keras model with PeerRegularization layers; not changed.
        dataset: the `Dataset` whose training images are drawn.
        seed: int, the seed of the draw.
        num_peers: int or None, N; None for as many as the model stores, and 50
            for a model that stores none.
        stream: tuple of ints, what the peers are drawn for.

    Raises:
        UserError: if the model has no PeerRegularization layers, or the images
            or their number do not fit.
    """
    stored = peers.stored_peers(model)
    if num_peers is None:
        num_peers = stored.num_peers if stored else _NUM_PEERS
    train = dataset.train
    places = np.arange(len(train)).reshape(-1, 1, 1, 1)
    indices = peers.draw_peers(places, num_peers, seed=(*stream, seed)).ravel()
    bank = peers.encode_peers(model, train.images[indices])
    return PeerGraph(
        images=train.images[indices],
        indices=indices,
        labels=train.labels[indices],
        bank=bank,
        is_stored=stored is not None and _is_first_of(bank, stored),
    )


def explain(
    model: keras.Model, images: NDArray[np.float32], graph: PeerGraph
) -> Explanation:
    """Records what each PeerRegularization layer does with images.

    One pass in inference mode with one graph of peers.

    Franken-images are those of Figure 3 of the paper, "constructed by
    backpropagating the attention scores to the input and using them to compose
    a new image as weighted sum of the peer pixels". We read this as follows.
    Each pixel of a layer's map stands for the pixels of the image around the
    centre of its receptive field, as many as the layer's stride (see
    `input_grid`). These become the mean of the peers' pixels at the places of
    the neighbours, weighted by the attention scores. Each layer has
    Franken-images of its own: what enters a deeper layer, for images and peers
    alike, was rebuilt from other peers before, so its scores do not combine
    with those of the layer before it.

    Args:
        model: a built Keras model, or what `peernets_tf.monte_carlo` made of
            one; not changed.
        images: float32 array of shape `(B, H, W, C)` in the model's range.
        graph: the `PeerGraph` of the model.

    Raises:
        UserError: if the images are not grey or RGB images of the peers' size,
            or the graph is of another model.
    """
    model = peers.averaged_model(model)
    _check_images(images, graph)
    layers = peers.peer_layers(model)
    features = dict(zip(layers, graph.bank.features, strict=True))
    calls: list[PeerCall] = []
    with peer_scope(bank=features, graph=0, recorder=calls.append):
        logits = model(ops.convert_to_tensor(images), training=False)
    return Explanation(
        logits=ops.convert_to_numpy(logits),
        layers=tuple(
            _explain_layer(
                call,
                ops.convert_to_numpy(features[call.layer][0]),
                graph.images,
                input_grid(
                    model,
                    call.layer,
                    call.inputs.shape[1:3],
                    images.shape[1:3],
                ),
            )
            for call in calls
        ),
    )


def _check_images(images: NDArray[np.float32], graph: PeerGraph) -> None:
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(
            "`images` must have shape (B, H, W, 1) or (B, H, W, 3). Received: "
            f"images.shape={images.shape}"
        )
    if images.shape[1:] != graph.images.shape[1:]:
        raise UserError(
            f"`images` must have the peers' shape {graph.images.shape[1:]}. "
            f"Received: {images.shape[1:]}"
        )


def _is_first_of(bank: peers.PeerBank, stored: peers.PeerBank) -> bool:
    """Whether a graph is the first of stored ones, up to rounding.

    Only the first layer is compared. Behind it, rounding may choose other
    neighbours.
    """
    first, other = (
        ops.convert_to_numpy(b.features[0][0]) for b in (bank, stored)
    )
    return first.shape == other.shape and bool(
        np.allclose(first, other, atol=1e-3 * np.abs(other).max())
    )


def _explain_layer(
    call: PeerCall,
    peer_features: NDArray[np.float32],
    peer_images: NDArray[np.float32],
    grid: tuple[Axis, Axis],
) -> LayerExplanation:
    features = ops.convert_to_numpy(call.inputs)
    shape = (*features.shape[:3], -1)
    neighbors = ops.convert_to_numpy(call.neighbors).reshape(shape)
    attention = ops.convert_to_numpy(call.weights).reshape(shape)
    numbers, rows, columns = np.unravel_index(
        neighbors, peer_features.shape[:3]
    )
    shares = np.zeros((len(features), len(peer_features)), np.float32)
    image_numbers = np.arange(len(features)).reshape(-1, 1, 1, 1)
    np.add.at(shares, (image_numbers, numbers), attention)
    owners = [
        axis.owners(length)
        for axis, length in zip(grid, peer_images.shape[1:3], strict=True)
    ]
    covered = (owners[0] >= 0)[:, None] & (owners[1] >= 0)
    franken = _rebuild(
        peer_images, (numbers, rows, columns), attention, grid, owners
    )
    return LayerExplanation(
        name=call.layer.name,
        grid=grid,
        peers=numbers,
        rows=rows,
        columns=columns,
        attention=attention,
        features=features,
        peer_features=peer_features,
        shares=shares / shares.sum(axis=1, keepdims=True),
        franken=np.where(covered[..., None], franken, 0),
        covered=covered,
    )


def _rebuild(
    peer_images: NDArray[np.float32],
    places: tuple[NDArray[np.int_], ...],
    attention: NDArray[np.float32],
    grid: tuple[Axis, Axis],
    owners: list[NDArray[np.int_]],
) -> NDArray[np.float32]:
    """Returns images `(B, H, W, C)` of the peers' pixels."""

    def of_pixels(values: NDArray[Any]) -> NDArray[Any]:
        return values[:, owners[0]][:, :, owners[1]]

    numbers, rows, columns = map(of_pixels, places)
    height, width = peer_images.shape[1:3]
    moved_rows = np.rint(grid[0].stride * (rows - owners[0][:, None, None]))
    moved_columns = np.rint(grid[1].stride * (columns - owners[1][:, None]))
    y = np.arange(height)[:, None, None] + moved_rows.astype(int)
    x = np.arange(width)[:, None] + moved_columns.astype(int)
    pixels = peer_images[
        numbers, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    ]
    weights = of_pixels(attention)[..., None]
    return np.sum(weights * pixels, axis=3, dtype=np.float32)
