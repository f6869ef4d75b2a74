"""One attack of a suite, as data: what it attacks, and with which settings."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

from peernets_tf import adaptive, attacks

# What `SuiteConfig.budget` scales.
_SCALED = ("steps", "restarts", "queries", "samples")
# Images for the ball in which no image can be robust.
_LARGE_BALL_IMAGES = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traits:
    """What decides which steps of a suite run.

    Attributes:
        num_classes: int, the classes of the model.
        has_peers: bool, whether it has PeerRegularization layers.
        has_bpda: bool, whether it has an identity backward pass: that of
            PeerRegularization layers, or of what else `hides_gradient`.
        has_guides: bool, whether two classes or more have a peer in each of the
            attacker's graphs.
        guesses_graphs: bool, whether the attacker has several graphs, but not
            those of the predictions.
        is_random: bool, whether its forward pass is random, or attacks draw its
            graphs anew in each step.
        has_transfer_model: bool, whether another model was given to make
            images on.
    """

    num_classes: int
    has_peers: bool = False
    has_bpda: bool = False
    has_guides: bool = False
    guesses_graphs: bool = False
    is_random: bool = False
    has_transfer_model: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One attack of a suite.

    Attributes:
        name: str, unique in the suite.
        attack: str, one of `adaptive.ATTACKS`.
        options: mapping, the attack's arguments but norm and epsilon.
        access: str, what the attack uses of the model: `"nothing"`,
            `"white-box"`, `"black-box"` or `"transfer"` (another model).
        backward: str, the backward pass of PeerRegularization layers, or of
            what else hides a gradient; empty for the one that the suite
            follows.
        role: str, what the checklist reads the step for; empty for nothing.
        only_survivors: bool, whether it attacks only the images that no earlier
            step fooled. Otherwise it attacks all that were classified
            correctly.
        is_counted: bool, whether the images that it fools count in the worst
            case. A step that does not count serves the checklist.
        needs: str, the `Traits` without which the step does not run; empty for
            none.
        min_classes: int, the classes that its loss needs.
        redraws_graphs: bool, whether half of the attacker's graphs are drawn
            anew in each step of the attack.
        epsilon: float or None, the radius of the ball for images in [0, 1],
            whatever that of the suite is; None for that of the suite.
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
    redraws_graphs: bool = False
    epsilon: float | None = None
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
            return epsilon if self.epsilon is None else self.epsilon
        return 1.0 if norm == "linf" else math.sqrt(math.prod(shape))

    def make(
        self,
        norm: str,
        epsilon: float,
        *,
        budget: float,
        num_classes: int,
        may_stop: bool,
        is_random: bool,
    ) -> attacks.Attack:
        """Returns the attack.

        Args:
            norm: `"linf"` or `"l2"`.
            epsilon: float, the radius of the ball.
            budget: float, the factor of all steps, restarts, queries and
                samples, except those of the large ball.
            num_classes: int, the classes of the model.
            may_stop: bool, whether an image that fools the attacked model
                also fools the defended one, so that its attack may stop.
            is_random: bool, whether two calls of the attacked model may differ.
                Otherwise a mean over calls is the value of one call.
        """
        options = dict(self.options)
        for name in _SCALED:
            if name in options and not self.in_large_ball:
                options[name] = max(1, round(budget * options[name]))
        if "num_targets" in options:
            options["num_targets"] = min(
                options["num_targets"], num_classes - 1
            )
        if "expectation" in options and not is_random:
            options["expectation"] = 1
        if "stop_when_fooled" in self._attack_type.options():
            options["stop_when_fooled"] = may_stop
        return self._attack_type(norm=norm, epsilon=epsilon, **options)

    def variant(
        self,
        suffix: str = "",
        *,
        options: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Self:
        """Returns a step that differs in some fields.

        Args:
            suffix: str, added to the name.
            options: mapping, arguments of the attack that replace or join
                those of this step; None for none.
            **fields: other fields by their names.
        """
        return dataclasses.replace(
            self,
            name=self.name + suffix,
            options={**self.options, **(options or {})},
            **fields,
        )

    @property
    def _attack_type(self) -> Any:
        return adaptive.ATTACKS[self.attack]
