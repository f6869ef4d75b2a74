"""Graphs of peers: drawing them, encoding them, averaging over them."""

from peernets_tf.peers.bank import (
    PeerBank,
    encode_peers,
    peer_layers,
    set_peers,
    stored_peers,
)
from peernets_tf.peers.drawing import draw_peers
from peernets_tf.peers.monte_carlo import MonteCarlo, monte_carlo
from peernets_tf.peers.refresh_peers import RefreshPeers

__all__ = [
    "MonteCarlo",
    "PeerBank",
    "RefreshPeers",
    "draw_peers",
    "encode_peers",
    "monte_carlo",
    "peer_layers",
    "set_peers",
    "stored_peers",
]
