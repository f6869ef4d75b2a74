"""PeerNets for TensorFlow and Keras."""

from peernets_tf.layers.nearest_neighbors import nearest_neighbors
from peernets_tf.layers.peer_regularization import PeerRegularization
from peernets_tf.peers import draw_peers, monte_carlo, set_peers
from peernets_tf.pretrained import load_pretrained

__all__ = [
    "PeerRegularization",
    "draw_peers",
    "load_pretrained",
    "monte_carlo",
    "nearest_neighbors",
    "set_peers",
]
__version__ = "0.1.0"
