"""What an attacker knows of a PeerNet's graphs."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import peers

# known: the attacker knows the graphs that predictions count with. drawn: the
# attacker knows only that graphs are drawn, and averages logits over graphs of
# its own. fresh: the attacker knows the model's graphs, but predictions count
# with newly drawn ones.
POLICIES = ("known", "drawn", "fresh")
# Seeds differ from each other by these; training tests with the first.
_OWN, _ATTACKERS, _FRESH = 3, 5, 6
# Graphs that an attacker draws by default.
_NUM_DRAWN = 10


def set_graphs(
    judge: keras.Model,
    attacked: keras.Model,
    images: NDArray[np.float32],
    *,
    policy: str = "known",
    num_peers: int | None = None,
    num_graphs: int | None = None,
    attack_graphs: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Stores the graphs of two copies of a PeerNet, judge and attacked.

    Args:
        judge: the Keras model whose predictions count.
        attacked: a copy of it, whose gradient the attack follows.
        images: float array of shape `(N', H, W, C)`, the training images.
        policy: str, one of `POLICIES`.
        num_peers: int or None, N; None for that of the stored graphs.
        num_graphs: int or None, M. If N and M are None the stored graphs are
            the model's own; else new ones are drawn.
        attack_graphs: int or None, the graphs that the attack averages over;
            None for M, or 10 for a policy of `"drawn"`.
        seed: int, the seed of what is drawn.

    Returns:
        A dict for the record: `policy`; `judged` and `attacked`, each with
        `num_peers`, `num_graphs` and `seed`, None for stored graphs. Empty
        for models without peers.

    Raises:
        ValueError: if the models hold no peers and N is None, or the attack
            needs more graphs than it knows.
    """
    layers = peers.peer_layers(judge)
    if not layers:
        return {}
    stored = layers[0].peers
    if stored is None and num_peers is None:
        raise ValueError(
            "the checkpoint holds no peers: give --num_peers and --num_graphs"
        )
    is_stored = num_peers is None and num_graphs is None
    stored_graphs, stored_peers = (1, 0) if stored is None else stored.shape[:2]
    num_peers = num_peers or stored_peers
    num_graphs = num_graphs or stored_graphs
    if attack_graphs is None:
        attack_graphs = _NUM_DRAWN if policy == "drawn" else num_graphs
    if policy != "drawn" and attack_graphs > num_graphs:
        raise ValueError(
            f"--attack_graphs={attack_graphs} is more than the model's "
            f"{num_graphs} graphs; --peers=drawn lets the attacker draw its own"
        )

    def draw(model: keras.Model, count: int, stream: int) -> dict[str, Any]:
        graphs = peers.draw_peers(images, num_peers, count, seed=(stream, seed))
        peers.set_peers(model, graphs)
        return {
            "num_peers": num_peers,
            "num_graphs": count,
            "seed": [stream, seed],
        }

    def own(model: keras.Model, count: int) -> dict[str, Any]:
        """The first of the stored graphs, or of those drawn instead."""
        if not is_stored:
            return draw(model, count, _OWN)
        for layer in peers.peer_layers(model):
            layer.set_peers(keras.ops.convert_to_numpy(layer.peers)[:count])
        return {"num_peers": num_peers, "num_graphs": count, "seed": None}

    return {
        "policy": policy,
        "judged": (
            draw(judge, num_graphs, _FRESH)
            if policy == "fresh"
            else own(judge, num_graphs)
        ),
        "attacked": (
            draw(attacked, attack_graphs, _ATTACKERS)
            if policy == "drawn"
            else own(attacked, attack_graphs)
        ),
    }
