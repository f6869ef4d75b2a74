"""Attacks by the names that commands and records use."""

from peernets_tf.attacks.apgd import APGD
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.cleverhans import (
    CleverHansBIM,
    CleverHansFGSM,
    CleverHansMIM,
    CleverHansPGD,
)
from peernets_tf.attacks.deepfool import DeepFool
from peernets_tf.attacks.fab import FAB
from peernets_tf.attacks.fgsm import FGSM
from peernets_tf.attacks.finite_difference import FiniteDifference
from peernets_tf.attacks.fixed_perturbation import FixedPerturbation
from peernets_tf.attacks.gradient_descent import GradientDescent
from peernets_tf.attacks.nes import NES
from peernets_tf.attacks.noise import RandomNoise
from peernets_tf.attacks.pgd import PGD
from peernets_tf.attacks.spsa import SPSA
from peernets_tf.attacks.square import Square
from peernets_tf.attacks.universal_deepfool import (
    UniversalDeepFool,
    UniversalSequential,
)
from peernets_tf.attacks.universal_gradient import UniversalGradient

_CLASSES: tuple[type[Attack], ...] = (
    GradientDescent,
    FGSM,
    PGD,
    APGD,
    FAB,
    DeepFool,
    UniversalDeepFool,
    UniversalSequential,
    UniversalGradient,
    FixedPerturbation,
    RandomNoise,
    Square,
    FiniteDifference,
    NES,
    SPSA,
    CleverHansFGSM,
    CleverHansPGD,
    CleverHansBIM,
    CleverHansMIM,
)
ATTACKS: dict[str, type[Attack]] = {cls.name: cls for cls in _CLASSES}
