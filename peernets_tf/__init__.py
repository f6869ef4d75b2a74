"""PeerNets for TensorFlow and Keras."""

from peernets_tf.layers import PeerRegularization, nearest_neighbors
from peernets_tf.models import insert_peer_regularization, load_pretrained
from peernets_tf.peers import (
    PeerBank,
    draw_peers,
    encode_peers,
    monte_carlo,
    set_peers,
)

__all__ = [
    "PeerBank",
    "PeerRegularization",
    "draw_peers",
    "encode_peers",
    "insert_peer_regularization",
    "load_pretrained",
    "monte_carlo",
    "nearest_neighbors",
    "set_peers",
]
__version__ = "0.1.0"
