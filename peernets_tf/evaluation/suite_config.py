"""What an evaluation by a suite of attacks is asked to do."""

import dataclasses

from peernets_tf import attacks
from peernets_tf.errors import UserError
from peernets_tf.evaluation.strength import DEFAULT_EPSILON
from peernets_tf.evaluation.suites import SUITES
from peernets_tf.evaluation.target_config import TargetConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteConfig(TargetConfig):
    """A suite of attacks, their strength, and what they attack.

    `backward` applies to the attacks for which the suite names no backward
    pass. The transfer attack makes its images on `transfer_from`. It also has
    the fields of `TargetConfig`.

    Attributes:
        suite: str, one of `suites.SUITES`.
        norm: `"linf"` or `"l2"`.
        epsilon: float or None, the radius of the ball for images in [0, 1];
            None for 8/255 in L-infinity and 0.5 in L2.
        budget: float, the factor of all steps, restarts, queries and
            samples, except those of the large ball.

    Raises:
        UserError: if a value is out of range.
    """

    suite: str = "autoattack"
    norm: str = "linf"
    epsilon: float | None = None
    budget: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, choices in (
            ("suite", self.suite, tuple(SUITES)),
            ("norm", self.norm, attacks.NORMS),
        ):
            if value not in choices:
                raise UserError(
                    f"`{name}` must be one of {choices}. Received: {value}"
                )
        if self.suite.startswith("table7") and (
            self.norm != "linf" or self.epsilon is not None
        ):
            raise UserError(
                f"the suite {self.suite} has the radii of the paper's Table 7, "
                "in L-infinity: leave `norm` and `epsilon` out. Received: "
                f"norm={self.norm}, epsilon={self.epsilon}"
            )
        attacks.checks.check_radius(self.radius, self.norm)
        attacks.checks.check_number("budget", self.budget)
        if self.transfer_from is not None and self.suite != "adaptive":
            raise UserError(
                "transfer_from is for single attacks and the suite adaptive: "
                f"leave it out. Received: suite={self.suite}"
            )
        chooses = self.suite == "adaptive" or self.suite.startswith("table7")
        if chooses and self.backward != "exact":
            raise UserError(
                f"the suite {self.suite} chooses its backward passes itself: "
                f"leave `backward` out. Received: {self.backward}"
            )

    @property
    def radius(self) -> float:
        """`epsilon`, or the default that stands for None."""
        if self.epsilon is None:
            return DEFAULT_EPSILON[self.norm]
        return self.epsilon
