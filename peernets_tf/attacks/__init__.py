"""Attacks: `attack(logits_fn, images, labels, seed=0)` -> adversarial images.

An attack is a frozen dataclass. Its fields are its settings, and its `repr`
names them all. It sees a model only through a function from images in [0, 1] to
logits. `Classifier` wraps such a function and compiles it once for many calls.
"""

from peernets_tf.attacks import (
    autodiff,
    checks,
    draws,
    losses,
    norms,
    rejection,
)
from peernets_tf.attacks.apgd import APGD
from peernets_tf.attacks.ascent import Ascent
from peernets_tf.attacks.base import Attack, SearchableAttack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.attacks.cleverhans import (
    CleverHansBIM,
    CleverHansFGSM,
    CleverHansMIM,
    CleverHansPGD,
)
from peernets_tf.attacks.deepfool import DeepFool
from peernets_tf.attacks.directions import (
    PrincipalComponents,
    principal_components,
)
from peernets_tf.attacks.fab import FAB
from peernets_tf.attacks.fgsm import FGSM
from peernets_tf.attacks.finite_difference import FiniteDifference
from peernets_tf.attacks.fixed_perturbation import (
    RHO_READINGS,
    FixedPerturbation,
    apply_perturbation,
    check_rho_of,
    epsilon_from_rho,
)
from peernets_tf.attacks.gradient_descent import GradientDescent
from peernets_tf.attacks.losses import LOSSES
from peernets_tf.attacks.nes import NES
from peernets_tf.attacks.noise import RandomNoise
from peernets_tf.attacks.norms import NORMS
from peernets_tf.attacks.pgd import PGD
from peernets_tf.attacks.registry import ATTACKS
from peernets_tf.attacks.rejection import REJECTED_AS, Rejecting
from peernets_tf.attacks.smallest_epsilon import SmallestEpsilon
from peernets_tf.attacks.spsa import SPSA
from peernets_tf.attacks.square import Square
from peernets_tf.attacks.universal import Progress, UniversalAttack
from peernets_tf.attacks.universal_deepfool import (
    UniversalDeepFool,
    UniversalSequential,
)
from peernets_tf.attacks.universal_gradient import UniversalGradient

__all__ = [
    "APGD",
    "ATTACKS",
    "FAB",
    "FGSM",
    "LOSSES",
    "NES",
    "NORMS",
    "PGD",
    "REJECTED_AS",
    "RHO_READINGS",
    "SPSA",
    "Ascent",
    "Attack",
    "Classifier",
    "CleverHansBIM",
    "CleverHansFGSM",
    "CleverHansMIM",
    "CleverHansPGD",
    "DeepFool",
    "FiniteDifference",
    "FixedPerturbation",
    "GradientDescent",
    "PrincipalComponents",
    "Progress",
    "RandomNoise",
    "Rejecting",
    "SearchableAttack",
    "SmallestEpsilon",
    "Square",
    "UniversalAttack",
    "UniversalDeepFool",
    "UniversalGradient",
    "UniversalSequential",
    "apply_perturbation",
    "autodiff",
    "check_rho_of",
    "checks",
    "draws",
    "epsilon_from_rho",
    "losses",
    "norms",
    "principal_components",
    "rejection",
]
