"""The attention of Peer Regularization: Equations 1 and 2 of the paper."""

from keras import ops

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


def weighted_mean(keys: Tensor, neighbors: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean of each query's neighbours, of shape `(Q, C)`."""
    values = ops.take(keys, neighbors, axis=0)
    return ops.sum(ops.expand_dims(weights, -1) * values, axis=1)
