"""What an evaluation by a suite of attacks is asked to do."""

import dataclasses
import math

from peernets_tf import adaptive, attacks
from peernets_tf.errors import UserError
from peernets_tf.evaluation.shard import Shard
from peernets_tf.evaluation.strength import DEFAULT_EPSILON
from peernets_tf.evaluation.suites import SUITES
from peernets_tf.evaluation.threat_model import GraphsConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteConfig:
    """A suite of attacks, their strength, and what they attack.

    Attributes:
        suite: str, one of `suites.SUITES`.
        norm: `"linf"` or `"l2"`.
        epsilon: float or None, the radius of the ball for images in [0, 1];
            None for 8/255 in L-infinity and 0.5 in L2.
        budget: float, the factor of all steps, restarts, queries and
            samples, except those of the large ball.
        backward: one of `adaptive.BACKWARDS`, the backward pass of
            PeerRegularization layers, or of what else hides a gradient, that
            attacks follow whose suite names none.
        graphs: the `GraphsConfig`.
        test_size: int or None, the number of test images, the first ones; None
            for all.
        batch_size: int, images attacked at once.
        seed: int, the seed of everything drawn.
        rejected_as: `"wrong"`, `"right"` or None, what a rejected adversarial
            image counts as. The model's last logit is then that of rejection.
            A rejected unperturbed image always counts as wrong.
        precision: str or None, the precision in which the model was loaded, see
            `peernets_tf.models.load`; None for that in which it was saved.
        shard: the `Shard`, the share of the batches that is attacked here.
        output_dir: str, the folder of this evaluation: run.json, batches.jsonl
            (batches-1-of-2.jsonl for a shard) and record.json.

    Raises:
        UserError: if a value is out of range.
    """

    suite: str = "autoattack"
    norm: str = "linf"
    epsilon: float | None = None
    budget: float = 1.0
    backward: str = "exact"
    graphs: GraphsConfig = GraphsConfig()
    test_size: int | None = None
    batch_size: int = 100
    seed: int = 0
    rejected_as: str | None = None
    precision: str | None = None
    shard: Shard = Shard()
    output_dir: str = ""

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("suite", self.suite, tuple(SUITES)),
            ("norm", self.norm, attacks.NORMS),
            ("backward", self.backward, adaptive.BACKWARDS),
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
        if not 0 < self.budget < math.inf:
            raise UserError(
                "`budget` must be finite and above 0: 1 is the published "
                f"suite. Received: {self.budget}"
            )
        attacks.rejection.check_rejected_as(self.rejected_as)
        test_size = 1 if self.test_size is None else self.test_size
        if self.batch_size < 1 or test_size < 1:
            raise UserError(
                "`batch_size` and `test_size` must be at least 1. Received: "
                f"batch_size={self.batch_size}, test_size={self.test_size}"
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
