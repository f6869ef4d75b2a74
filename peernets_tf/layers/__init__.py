"""Keras layers: Peer Regularization and the exact neighbour search it needs."""

from peernets_tf.layers.chunk_search import chunk_size
from peernets_tf.layers.nearest_neighbors import (
    nearest_neighbors,
    nearest_neighbors_in_blocks,
)
from peernets_tf.layers.neighbor_choice import choose_neighbors
from peernets_tf.layers.peer_regularization import PeerRegularization
from peernets_tf.layers.peer_scope import (
    BATCH,
    PeerCall,
    PeerScope,
    current_scope,
    peer_scope,
)

__all__ = [
    "BATCH",
    "PeerCall",
    "PeerRegularization",
    "PeerScope",
    "choose_neighbors",
    "chunk_size",
    "current_scope",
    "nearest_neighbors",
    "nearest_neighbors_in_blocks",
    "peer_scope",
]
