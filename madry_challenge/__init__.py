"""Madry et al.'s CIFAR-10 challenge, and Table 6 (Appendix D) of the paper.

Importing the package lets Keras load the challenge's networks.
"""

from typing import TYPE_CHECKING

from peernets_tf import lazy

if TYPE_CHECKING:
    from madry_challenge.model import build
else:
    __getattr__, __dir__ = lazy.exports(__name__, build="model")

__all__ = ["build"]

# A command does this after it has read its flags.
if not lazy.is_command():
    lazy.import_exports(__name__)
