"""The attention of Peer Regularization: Equations 1 and 2 of the paper."""

import functools
from collections.abc import Callable

from keras import ops

from peernets_tf.layers.compiled import xla_compiled
from peernets_tf.types import Tensor

ATTENTIONS = ("gat", "softplus", "literal")


def attention_logits(
    queries: Tensor,
    keys: Tensor,
    neighbors: Tensor,
    *,
    query_kernel: Tensor,
    key_kernel: Tensor,
    bias: Tensor,
) -> Tensor:
    """Computes a(x_p, x_q) = x_p . query_kernel + x_q . key_kernel + bias.

    This is the paper's affine map of the pair [x_p, x_q] to a scalar, without
    the concatenation for each pair.

    Args:
        queries: float tensor of shape `(Q, C)`, the pixels x_p.
        keys: float tensor of shape `(P, C)`, the pixels of all peers.
        neighbors: int tensor of shape `(Q, K)`, rows of `keys`: the pixels x_q.
        query_kernel: float tensor of shape `(C,)`.
        key_kernel: float tensor of shape `(C,)`.
        bias: float tensor of shape `()`.

    Returns:
        Float tensor of shape `(Q, K)`.
    """
    query_logits = ops.matmul(queries, query_kernel)
    key_logits = ops.matmul(keys, key_kernel)
    return (
        ops.expand_dims(query_logits, 1)
        + ops.take(key_logits, neighbors, axis=0)
        + bias
    )


def activate(logits: Tensor, attention: str, negative_slope: float) -> Tensor:
    """Applies the nonlinearity in front of the softmax.

    Args:
        logits: float tensor of shape `(Q, K)`.
        attention: str, one of `ATTENTIONS`.
        negative_slope: float, the slope of LeakyReLU below zero.
    """
    if attention == "gat":
        return ops.leaky_relu(logits, negative_slope)
    if attention == "softplus":
        return ops.softplus(logits)
    # Equation 2 as printed, LeakyReLU(exp(a)) over its sum: exp is positive,
    # so LeakyReLU keeps it, and its share of the sum is the softmax.
    return logits


def attend(
    queries: Tensor,
    keys: Tensor,
    neighbors: Tensor,
    logit_factors: Tensor,
    query_kernel: Tensor,
    key_kernel: Tensor,
    bias: Tensor,
    *,
    attention: str,
    negative_slope: float,
) -> tuple[Tensor, Tensor]:
    """Replaces each query by the attention-weighted mean of its neighbours.

    Args:
        queries: see `attention_logits`.
        keys: see `attention_logits`.
        neighbors: see `attention_logits`.
        logit_factors: float tensor that is broadcast to `(Q, K)` and multiplied
            with the activated logits: dropout, or a 1.
        query_kernel: see `attention_logits`.
        key_kernel: see `attention_logits`.
        bias: see `attention_logits`.
        attention: see `activate`.
        negative_slope: see `activate`.

    Returns:
        The means `(Q, C)` and the weights `(Q, K)`, whose rows sum to 1.
    """
    logits = attention_logits(
        queries,
        keys,
        neighbors,
        query_kernel=query_kernel,
        key_kernel=key_kernel,
        bias=bias,
    )
    logits = logit_factors * activate(logits, attention, negative_slope)
    weights = ops.softmax(logits, axis=-1)
    values = ops.take(keys, neighbors, axis=0)
    return ops.sum(ops.expand_dims(weights, -1) * values, axis=1), weights


@functools.cache
def compiled_attend(
    attention: str, negative_slope: float
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Returns `attend` with two settings, compiled with XLA.

    The gathered neighbours, K times as large as the inputs, then never reach
    memory, neither forward nor backward.
    """
    return xla_compiled(
        functools.partial(
            attend, attention=attention, negative_slope=negative_slope
        )
    )
