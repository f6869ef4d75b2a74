"""Attacks by the names that commands and records give them."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from peernets_tf.attacks.cleverhans import METHODS, CleverHans
from peernets_tf.attacks.deepfool import DeepFool
from peernets_tf.attacks.gradient import FGSM, PGD, GradientDescent
from peernets_tf.attacks.noise import RandomNoise
from peernets_tf.attacks.smallest_epsilon import SmallestEpsilon
from peernets_tf.attacks.universal import UniversalDeepFool, UniversalGradient

# Those that can also search the smallest epsilon.
SEARCHABLE = ("gradient_descent", "fgsm", "pgd")

_ATTACKS: dict[str, type[Any]] = {
    "gradient_descent": GradientDescent,
    "fgsm": FGSM,
    "pgd": PGD,
    "deepfool": DeepFool,
    "universal.deepfool": UniversalDeepFool,
    "universal.gradient": UniversalGradient,
    "noise": RandomNoise,
    **{f"cleverhans.{method}": CleverHans for method in METHODS},
}
NAMES = tuple(_ATTACKS)
# Arguments that an attack has but does not look at, or that are not a user's.
_NOT_OPTIONS = {
    "deepfool": {"num_classes"},
    "universal.deepfool": {"deepfool"},
    # A share of epsilon, not a length.
    "universal.gradient": {"step_size"},
    "cleverhans.fgsm": {"steps", "step_size", "random_start"},
    "cleverhans.bim": {"random_start"},
    "cleverhans.mim": {"random_start"},
}


def options(name: str) -> set[str]:
    """Returns the names of the arguments that an attack takes."""
    names = {field.name for field in dataclasses.fields(_ATTACKS[name])}
    return names - {"method"} - _NOT_OPTIONS.get(name, set())


def make(name: str, **arguments: Any) -> Any:
    """Returns an attack, or the maker of a universal perturbation.

    Args:
        name: str, one of `NAMES`.
        **arguments: those of the attack's dataclass, see `options`.
    """
    if name.startswith("cleverhans."):
        arguments["method"] = name.removeprefix("cleverhans.")
    return _ATTACKS[name](**arguments)


def make_search(
    name: str,
    *,
    largest_epsilon: float | None = None,
    image_shape: Sequence[int],
    **arguments: Any,
) -> SmallestEpsilon:
    """Returns the search for each image's smallest epsilon that fools.

    Args:
        name: str, one of `SEARCHABLE`.
        largest_epsilon: float, where the search gives up. None: where the ball
            holds all images, 1 in L-infinity and sqrt(H W C) in L2.
        image_shape: tuple `(H, W, C)`.
        **arguments: those of the attack's dataclass but `epsilon`.
    """
    if name == "pgd":
        # The search only asks whether an image is fooled.
        arguments["stop_when_fooled"] = True
    # The search sets each image's radius.
    attack = make(name, epsilon=1.0, **arguments)
    if largest_epsilon is None:
        is_l2 = attack.norm == "l2"
        largest_epsilon = math.sqrt(math.prod(image_shape)) if is_l2 else 1.0
    return SmallestEpsilon(attack=attack, largest_epsilon=largest_epsilon)
