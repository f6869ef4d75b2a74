"""What reaches every PeerRegularization layer of a model during one call.

A layer deep inside a model cannot be handed arguments. So a caller enters a
scope, and each layer reads it, as Keras layers read `keras.RematScope`:

    with peer_scope(graph=1, recorder=calls.append):
        logits = model(images, training=False)

Scopes nest: what the inner one leaves out comes from the outer one. A scope
belongs to one thread.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from peernets_tf.types import Tensor

# As `PeerScope.graph`: the images of the call are each other's peers.
BATCH = "batch"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PeerCall:
    """One call of a PeerRegularization layer. It has Q = B H W pixels.

    Attributes:
        layer: the `PeerRegularization` layer.
        inputs: float tensor of shape `(B, H, W, C)`.
        keys: float tensor of shape `(P, C)`, the pixels of all peers.
        excludes_self: bool, whether the keys are the pixels of the inputs, and
            none may be its own neighbour.
        neighbors: int32 tensor of shape `(Q, K)`, rows of `keys`, best first.
        weights: float tensor of shape `(Q, K)`, the attention scores; each row
            sums to 1.
        outputs: float tensor of the shape of `inputs`.
    """

    layer: Any
    inputs: Tensor
    keys: Tensor
    excludes_self: bool
    neighbors: Tensor
    weights: Tensor
    outputs: Tensor


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PeerScope:
    """What the PeerRegularization layers of a call use.

    Attributes:
        bank: maps each layer to its peers' features, `(M, N, H, W, C)`; None
            for the features that `peernets_tf.set_peers` stored in the layer.
        graph: int or int tensor, which of the M graphs inference uses; `BATCH`
            for the images of the call themselves.
        ablation: function from a `PeerCall` to the one that takes its place,
            before anything else sees it: the layer computes something else.
            None for the layer's own. Where its outputs are its inputs, the
            layer is switched off, and has no other backward pass.
        backward: function from a `PeerCall` to the outputs that the layer
            returns: the same values with another gradient (BPDA). None for the
            layer's own.
        recorder: function that receives each `PeerCall`, or None.
        replacement: function from a layer and its inputs to the outputs that
            the layer returns without a search, or None. The inputs are as the
            layer's caller gave them.
    """

    bank: Mapping[Any, Tensor] | None = None
    graph: Tensor = 0
    ablation: Callable[[PeerCall], PeerCall] | None = None
    backward: Callable[[PeerCall], Tensor] | None = None
    recorder: Callable[[PeerCall], None] | None = None
    replacement: Callable[[Any, Tensor], Tensor] | None = None


_thread = threading.local()


def current_scope() -> PeerScope:
    """Returns the scope of this thread, the default one outside of any."""
    return getattr(_thread, "scope", None) or PeerScope()


@contextlib.contextmanager
def peer_scope(**changes: Any) -> Iterator[PeerScope]:
    """Changes the scope of this thread until the block ends.

    Args:
        **changes: attributes of `PeerScope`.
    """
    outer = current_scope()
    _thread.scope = dataclasses.replace(outer, **changes)
    try:
        yield _thread.scope
    finally:
        _thread.scope = outer
