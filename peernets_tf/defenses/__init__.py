"""Rival defences, to compare PeerNets with."""

from peernets_tf.defenses.autoencoder import autoencoder, fit_autoencoder
from peernets_tf.defenses.magnet import Detector, magnet, with_magnet

__all__ = [
    "Detector",
    "autoencoder",
    "fit_autoencoder",
    "magnet",
    "with_magnet",
]
