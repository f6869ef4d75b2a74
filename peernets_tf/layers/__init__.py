"""Keras layers: Peer Regularization and the exact neighbour search it needs."""

from peernets_tf.layers.nearest_neighbors import chunk_size, nearest_neighbors
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
    "chunk_size",
    "current_scope",
    "nearest_neighbors",
    "peer_scope",
]
