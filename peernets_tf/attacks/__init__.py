"""Attacks: `attack(logits_fn, images, labels, seed=0)` -> adversarial images.

Each is a frozen dataclass; its `repr` names all that it depends on.
"""

from peernets_tf.attacks.cleverhans import CleverHans
from peernets_tf.attacks.deepfool import DeepFool
from peernets_tf.attacks.gradient import FGSM, PGD, GradientDescent
from peernets_tf.attacks.losses import LOSSES
from peernets_tf.attacks.noise import RandomNoise
from peernets_tf.attacks.smallest_epsilon import SmallestEpsilon
from peernets_tf.attacks.surrogate import BACKWARDS, surrogate
from peernets_tf.attacks.universal import UniversalDeepFool, UniversalGradient

__all__ = [
    "BACKWARDS",
    "FGSM",
    "LOSSES",
    "PGD",
    "CleverHans",
    "DeepFool",
    "GradientDescent",
    "RandomNoise",
    "SmallestEpsilon",
    "UniversalDeepFool",
    "UniversalGradient",
    "surrogate",
]
