"""Keras layers: Peer Regularization and the exact neighbour search it needs."""
