"""The peer pixels that a neighbour-guided attack pulls an image's pixels to.

At each PeerRegularization layer, the guides of a pixel are the pixels most
similar to it among the peers of one class.
"""

import dataclasses
import functools
import math

import keras
from keras import ops

from peernets_tf.adaptive.backward import bpda
from peernets_tf.adaptive.choices import TEMPERATURE
from peernets_tf.adaptive.unit_vectors import unit
from peernets_tf.attacks import Classifier, autodiff, draws, losses, norms
from peernets_tf.errors import UserError
from peernets_tf.layers import PeerCall, nearest_neighbors, peer_scope
from peernets_tf.peers import PeerBank, peer_layers
from peernets_tf.peers.bank import check_fits
from peernets_tf.types import LogitsFunction, Tensor

# Added to the cosine, which lies in [-1, 1], where classes agree: it puts every
# peer of the class before all others.
_CLASS_BONUS = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Guides:
    """A PeerNet and graphs of peers whose classes are known.

    Attributes:
        model: a `keras.Model` that holds PeerRegularization layers.
        bank: the `PeerBank` of `model`, with labels.
        backward: the backward pass of the layers that the attack follows, see
            `bpda`.
        temperature: float, see `bpda`.

    Raises:
        UserError: if the bank has no labels or is of another model, or an
            argument is out of range.
    """

    model: keras.Model
    bank: PeerBank
    backward: str = "identity"
    temperature: float = TEMPERATURE

    def __post_init__(self) -> None:
        check_fits(self.bank, peer_layers(self.model))
        if self.bank.labels is None:
            raise UserError(
                "`bank` must have the labels of its peers: encode them with "
                "encode_peers(model, images, labels). Received: none"
            )

    @functools.cached_property
    def classifier(self) -> Classifier:
        """The network, and what the attack compiles for it."""
        return Classifier(bpda(self.model, self.backward, self.temperature))

    @property
    def classes(self) -> list[int]:
        """The classes that have a peer in every graph."""
        return self.bank.common_classes

    def check_count(self, count: int) -> None:
        """Raises a `UserError` if a class has fewer guides for a pixel."""
        if self.classes and count > self.fewest_pixels:
            raise UserError(
                "`guides_per_pixel` must be at most the peer pixels of a class "
                f"in a layer, {self.fewest_pixels}. Received: {count}; draw "
                "more peers, or lower it"
            )

    @property
    def fewest_pixels(self) -> int:
        """The fewest peer pixels of one of these classes at a layer."""
        labels = self.bank.labels
        assert labels is not None
        peers = min(
            (graph == label).sum() for graph in labels for label in self.classes
        )
        pixels = min(math.prod(f.shape[2:-1]) for f in self.bank.features)
        return int(peers) * pixels

    def choose(
        self,
        logits_fn: LogitsFunction,
        images: Tensor,
        classes: Tensor,
        graph: Tensor,
        *,
        count: int,
    ) -> tuple[Tensor, ...]:
        """Chooses the guides of each pixel, and returns their mean direction.

        The arguments are those of a function of `Classifier.call`.

        Args:
            logits_fn: that of `classifier`.
            images: float tensor of shape `(B, H, W, C)`.
            classes: int tensor of shape `(B,)`, the class of the guides.
            graph: int tensor of shape `()`.
            count: int, the guides of each pixel, see `check_count`.

        Returns:
            A tensor `(B, H, W, C)` for each PeerRegularization layer, of the
            shape of its inputs: the mean of the guides' unit vectors.
        """
        assert self.bank.labels is not None
        num_classes = int(self.bank.labels.max()) + 1
        labels = ops.convert_to_tensor(self.bank.labels)[graph]
        wanted = ops.one_hot(classes, num_classes)
        owned = ops.one_hot(labels, num_classes)
        return tuple(
            _mean_guides(call, wanted, owned, count)
            for call in self._calls(logits_fn, images, graph)
        )

    def climb(
        self,
        logits_fn: LogitsFunction,
        iterates: Tensor,
        images: Tensor,
        epsilon: Tensor,
        step_size: Tensor,
        steps: Tensor,
        graph: Tensor,
        *guides: Tensor,
        norm: str,
    ) -> tuple[Tensor, Tensor]:
        """Moves images so that their pixels become more similar to guides.

        It ascends on the mean cosine over layers, pixels and guides. The
        arguments are those of a function of `Classifier.call`.

        Args:
            logits_fn: that of `classifier`.
            iterates: float tensor of shape `(B, H, W, C)`, the first iterates.
            images: float tensor of shape `(B, H, W, C)`, the balls' centres.
            epsilon: float tensor of shape `(B,)`, the radii.
            step_size: float tensor of shape `(B,)`.
            steps: int tensor of shape `()`.
            graph: int tensor of shape `()`.
            *guides: what `choose` returned.
            norm: `"linf"` or `"l2"`.

        Returns:
            The last iterates, and whether all gradients were finite, `(B,)`.
        """

        def similarity(images: Tensor) -> tuple[Tensor, None]:
            total = 0.0
            calls = self._calls(logits_fn, images, graph)
            for call, guide in zip(calls, guides, strict=True):
                pixels = unit(call.inputs, call.layer.epsilon)
                cosines = ops.sum(pixels * guide, axis=-1)
                total += ops.mean(cosines, axis=(1, 2)) / len(guides)
            return total, None

        def step(_: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
            iterates, is_finite = state
            value, _, gradient = autodiff.value_and_gradient(
                similarity, iterates
            )
            is_finite = is_finite & losses.are_finite(value, gradient)
            moved = norms.ascend(
                iterates, gradient, images, norm, epsilon, step_size
            )
            return moved, is_finite

        return draws.fori_loop(
            0, steps, step, (iterates, ops.zeros_like(epsilon) == 0)
        )

    def _calls(
        self, logits_fn: LogitsFunction, images: Tensor, graph: Tensor
    ) -> list[PeerCall]:
        """Returns what each PeerRegularization layer does to images."""
        calls: list[PeerCall] = []
        layers = peer_layers(self.model)
        bank = dict(zip(layers, self.bank.features, strict=True))
        with peer_scope(bank=bank, graph=graph, recorder=calls.append):
            logits_fn(images)
        return calls


def _mean_guides(
    call: PeerCall, wanted: Tensor, owned: Tensor, count: int
) -> Tensor:
    """Returns the mean direction of each pixel's guides, `(B, H, W, C)`.

    Args:
        call: the `PeerCall` of the images.
        wanted: float tensor of shape `(B, classes)`, one-hot, the class of each
            image's guides.
        owned: float tensor of shape `(N, classes)`, one-hot, the peers' own.
        count: int, the guides of each pixel.
    """
    _, height, width, channels = call.inputs.shape
    queries = unit(ops.reshape(call.inputs, (-1, channels)), call.layer.epsilon)
    keys = unit(call.keys, call.layer.epsilon)
    # More coordinates add the bonus. The last gives a key without a direction
    # the length of the others.
    bonus = _CLASS_BONUS**0.5
    wanted = bonus * ops.repeat(wanted, height * width, axis=0)
    owned = bonus * ops.repeat(
        owned, call.keys.shape[0] // owned.shape[0], axis=0
    )
    missing = 1.0 - ops.sum(ops.square(keys), axis=1, keepdims=True)
    chosen = nearest_neighbors(
        ops.concatenate([queries, wanted, ops.zeros_like(wanted[:, :1])], 1),
        ops.concatenate([keys, owned, missing], 1),
        count,
    )
    mean = ops.mean(ops.take(keys, chosen, axis=0), axis=1)
    return ops.reshape(mean, ops.shape(call.inputs))
