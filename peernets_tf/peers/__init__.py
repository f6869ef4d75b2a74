"""Graphs of peers: draw them, encode them, average logits over them.

A graph is a set of N images that are peers. M is the number of graphs.
"""

from peernets_tf.peers.bank import PeerBank, peer_layers
from peernets_tf.peers.drawing import draw_peers
from peernets_tf.peers.monte_carlo import (
    MonteCarlo,
    averaged_model,
    monte_carlo,
)
from peernets_tf.peers.refresh_peers import RefreshPeers
from peernets_tf.peers.storage import encode_peers, set_peers, stored_peers

__all__ = [
    "MonteCarlo",
    "PeerBank",
    "RefreshPeers",
    "averaged_model",
    "draw_peers",
    "encode_peers",
    "monte_carlo",
    "peer_layers",
    "set_peers",
    "stored_peers",
]
