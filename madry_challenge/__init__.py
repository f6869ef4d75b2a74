"""Madry et al.'s CIFAR-10 challenge, and Table 6 (Appendix D) of the paper.

Importing the package lets Keras load the challenge's networks.
"""

from madry_challenge.model import build

__all__ = ["build"]
