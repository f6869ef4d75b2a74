"""Attacks by the names that commands and records use."""

import math
from collections.abc import Sequence
from typing import Any

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
from peernets_tf.attacks.smallest_epsilon import SmallestEpsilon
from peernets_tf.attacks.spsa import SPSA
from peernets_tf.attacks.square import Square
from peernets_tf.attacks.universal_deepfool import (
    UniversalDeepFool,
    UniversalSequential,
)
from peernets_tf.attacks.universal_gradient import UniversalGradient
from peernets_tf.errors import UserError

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
NAMES = tuple(ATTACKS)
# Each radius needs its own.
_SET_BY_SEARCH = ("epsilon", "step_size", "keep_best", "stop_when_fooled")


def make(name: str, **arguments: Any) -> Attack:
    """Returns the attack of that name.

    Args:
        name: str, one of `NAMES`.
        **arguments: the fields of the attack's class.

    Raises:
        UserError: if there is no such attack, or an argument is out of range.
    """
    return _class_of(name)(**arguments)


def make_search(
    name: str,
    *,
    largest_epsilon: float | None = None,
    image_shape: Sequence[int],
    **arguments: Any,
) -> SmallestEpsilon:
    """Returns a search for the smallest epsilon at which an attack fools.

    Args:
        name: str, the name of an attack that is searchable.
        largest_epsilon: float, the last epsilon that is tried. None for the
            largest distance between two images: 1 in L-infinity, sqrt(H W C) in
            L2.
        image_shape: tuple `(H, W, C)`.
        **arguments: the fields of the attack's class, except `epsilon`,
            `step_size`, `keep_best` and `stop_when_fooled`, which the search
            sets.

    Raises:
        UserError: if there is no such attack, it is not searchable, or an
            argument is out of range or set by the search.
    """
    cls = _class_of(name)
    for argument in _SET_BY_SEARCH:
        if argument in arguments:
            raise UserError(
                f"a search sets `{argument}` itself: leave it out. Received: "
                f"{argument}={arguments[argument]}"
            )
    if "stop_when_fooled" in cls.options():
        # The search only asks whether an image is fooled.
        arguments["stop_when_fooled"] = True
    if "epsilon" in cls.options():
        # The search sets the radius of each image.
        arguments["epsilon"] = 1.0
    attack = cls(**arguments)
    if largest_epsilon is None:
        is_l2 = attack.norm == "l2"
        largest_epsilon = math.sqrt(math.prod(image_shape)) if is_l2 else 1.0
    return SmallestEpsilon(attack=attack, largest_epsilon=largest_epsilon)


def _class_of(name: str) -> type[Attack]:
    if name not in ATTACKS:
        raise UserError(
            f"the attack must be one of {', '.join(NAMES)}. Received: {name}"
        )
    return ATTACKS[name]
