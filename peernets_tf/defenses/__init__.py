"""Rival defences, to compare PeerNets with."""

from peernets_tf.defenses.autoencoder import autoencoder
from peernets_tf.defenses.magnet import Detector, magnet, with_magnet

__all__ = [
    "Detector",
    "autoencoder",
    "magnet",
    "with_magnet",
]
