"""Suites: which attacks run, in which order, and on which images.

`autoattack` and `rand` are the standard and the randomised version of Croce and
Hein (2020), *Reliable Evaluation of Adversarial Robustness with an Ensemble of
Diverse Parameter-free Attacks*. `adaptive` adds attacks that know peers, and
goes from cheap attacks to expensive ones.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from peernets_tf import attacks

# What a check looks for among the steps.
NOISE = "noise"
SINGLE_STEP = "single-step"
ITERATIVE = "iterative"
BPDA = "bpda"
MORE = "more"
LARGE_BALL = "large ball"

# What `SuiteConfig.budget` scales.
_SCALED = ("steps", "restarts", "queries")
# Images for the ball in which no image can be robust.
_LARGE_BALL_IMAGES = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traits:
    """What decides which steps of a suite run.

    Attributes:
        num_classes: int, the classes of the model.
        has_peers: bool, whether it has PeerRegularization layers.
        is_random: bool, whether its forward pass is random.
        has_transfer_model: bool, whether another model was given to make
            images on.
    """

    num_classes: int
    has_peers: bool = False
    is_random: bool = False
    has_transfer_model: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One attack of a suite.

    Attributes:
        name: str, unique in the suite.
        attack: str, one of `attacks.NAMES`.
        options: mapping, the attack's arguments but norm and epsilon.
        access: str, what the attack uses of the model: `"nothing"`,
            `"white-box"`, `"black-box"` or `"transfer"` (another model).
        backward: str, the backward pass of PeerRegularization layers; empty
            for the one that the suite follows.
        role: str, what the checklist reads the step for; empty for nothing.
        only_survivors: bool, whether it attacks only the images that no earlier
            step fooled. Otherwise it attacks all that were classified
            correctly.
        is_counted: bool, whether the images that it fools count in the worst
            case. A step that does not count serves the checklist.
        needs: str, the `Traits` without which the step does not run; empty for
            none.
        min_classes: int, the classes that its loss needs.
        in_large_ball: bool, whether it may move an image anywhere in [0, 1]. It
            then attacks the first 100 images only.
    """

    name: str
    attack: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    access: str = "white-box"
    backward: str = ""
    role: str = ""
    only_survivors: bool = True
    is_counted: bool = True
    needs: str = ""
    min_classes: int = 2
    in_large_ball: bool = False

    @property
    def limit(self) -> int | None:
        """The most images that the step attacks, the first ones."""
        return _LARGE_BALL_IMAGES if self.in_large_ball else None

    def fits(self, traits: Traits) -> bool:
        """Whether the step runs on a model with these traits."""
        return traits.num_classes >= self.min_classes and (
            not self.needs or getattr(traits, self.needs)
        )

    def radius(
        self, norm: str, epsilon: float, shape: tuple[int, ...]
    ) -> float:
        """Returns the radius of the ball that the step searches.

        Args:
            norm: `"linf"` or `"l2"`.
            epsilon: float, the radius of the suite.
            shape: tuple, the images' `(H, W, C)`.
        """
        if not self.in_large_ball:
            return epsilon
        return 1.0 if norm == "linf" else math.sqrt(math.prod(shape))

    def make(
        self,
        norm: str,
        epsilon: float,
        *,
        budget: float,
        num_classes: int,
        may_stop: bool,
    ) -> attacks.Attack:
        """Returns the attack.

        Args:
            norm: `"linf"` or `"l2"`.
            epsilon: float, the radius of the ball.
            budget: float, the factor of all steps, restarts and queries.
            num_classes: int, the classes of the model.
            may_stop: bool, whether an image that fools the attacked model
                also fools the defended one, so that its attack may stop.
        """
        options = dict(self.options)
        for name in _SCALED:
            if name in options:
                options[name] = max(1, round(budget * options[name]))
        if "num_targets" in options:
            options["num_targets"] = min(
                options["num_targets"], num_classes - 1
            )
        if may_stop and "stop_when_fooled" in self._attack_type.options():
            options["stop_when_fooled"] = True
        return self._attack_type(norm=norm, epsilon=epsilon, **options)

    @property
    def _attack_type(self) -> Any:
        return attacks.ATTACKS[self.attack]


def steps_of(suite: str, traits: Traits) -> tuple[Step, ...]:
    """Returns the steps of a suite that run on a model, in their order.

    Args:
        suite: str, one of `SUITES`.
        traits: the model's `Traits`.
    """
    return tuple(step for step in SUITES[suite] if step.fits(traits))


_NOISE = Step(
    name="noise",
    attack="noise",
    access="nothing",
    role=NOISE,
    only_survivors=False,
)
_FGSM = Step(name="fgsm", attack="fgsm", role=SINGLE_STEP, only_survivors=False)
_SQUARE = Step(
    name="square",
    attack="square",
    options={"queries": 5000},
    access="black-box",
)
_LARGE_BALL = Step(
    name="large-ball",
    attack="pgd",
    # A random start in this ball is a random image, which fools by itself.
    options={"steps": 100, "random_start": False},
    role=LARGE_BALL,
    only_survivors=False,
    is_counted=False,
    in_large_ball=True,
)

_ADAPTIVE = (
    _NOISE,
    _FGSM,
    Step(
        name="pgd",
        attack="pgd",
        options={"steps": 40},
        backward="exact",
        role=ITERATIVE,
        only_survivors=False,
    ),
    Step(
        name="pgd-identity",
        attack="pgd",
        options={"steps": 40},
        backward="identity",
        role=BPDA,
        only_survivors=False,
        needs="has_peers",
    ),
    Step(
        name="pgd-identity-margin",
        attack="pgd",
        options={"steps": 200, "restarts": 5, "loss": "margin"},
        backward="identity",
        needs="has_peers",
    ),
    Step(
        name="pgd-soft-margin",
        attack="pgd",
        options={"steps": 40, "restarts": 2, "loss": "margin"},
        backward="soft",
        needs="has_peers",
    ),
    Step(
        name="pgd-margin",
        attack="pgd",
        options={"steps": 200, "restarts": 5, "loss": "margin"},
        backward="exact",
    ),
    _SQUARE,
    Step(
        name="transfer",
        attack="pgd",
        options={"steps": 40},
        access="transfer",
        needs="has_transfer_model",
    ),
    Step(
        name="pgd-margin-more",
        attack="pgd",
        options={"steps": 400, "restarts": 10, "loss": "margin"},
        backward="exact",
        role=MORE,
    ),
    _LARGE_BALL,
    dataclasses.replace(
        _LARGE_BALL,
        name="large-ball-identity",
        backward="identity",
        needs="has_peers",
    ),
)

SUITES: dict[str, tuple[Step, ...]] = {"adaptive": _ADAPTIVE}
