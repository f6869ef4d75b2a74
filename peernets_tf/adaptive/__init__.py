"""Adaptive attacks, which know the defence, and ablations of its layers.

BPDA, expectation over graphs, and the neighbour-guided attack.
"""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.adaptive.ablation import Ablation, ablated
from peernets_tf.adaptive.choices import ABLATIONS, BACKWARDS, TEMPERATURE
from peernets_tf.adaptive.neighbor_guided import NeighborGuided
from peernets_tf.adaptive.registry import ATTACKS

if TYPE_CHECKING:
    from peernets_tf.adaptive.backward import bpda
    from peernets_tf.adaptive.graph_expectation import random_graphs
    from peernets_tf.adaptive.guides import Guides
    from peernets_tf.adaptive.straight_through import hides_gradient
else:
    __getattr__, __dir__ = lazy.exports(
        __name__,
        Guides="guides",
        bpda="backward",
        hides_gradient="straight_through",
        random_graphs="graph_expectation",
    )

__all__ = [
    "ABLATIONS",
    "ATTACKS",
    "Ablation",
    "BACKWARDS",
    "Guides",
    "NeighborGuided",
    "TEMPERATURE",
    "ablated",
    "bpda",
    "hides_gradient",
    "random_graphs",
]
