"""Attacks that know of peers: a defence must withstand these."""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.adaptive.choices import BACKWARDS

if TYPE_CHECKING:
    from peernets_tf.adaptive.backward import bpda
else:
    __getattr__, __dir__ = lazy.exports(__name__, bpda="backward")

__all__ = ["BACKWARDS", "bpda"]
