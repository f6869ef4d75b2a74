"""Adversarial training and its comparison with PeerNets (Appendix D).

Importing it lets Keras load the challenge's networks.
"""

from madry_challenge.model import build

__all__ = ["build"]
