"""The flags that name a suite of attacks."""

from typing import Any

from absl import flags

from peernets_tf import evaluation
from peernets_tf.cli import shared_flags
from peernets_tf.cli.attack_flags import AttackFlags
from peernets_tf.errors import UserError

# The command that makes a `SuiteFlags` owns them, and its --help shows them.
flags.disclaim_key_flags()


class SuiteFlags:
    """The flags of a suite, which is run instead of --attack."""

    def __init__(self) -> None:
        self._suite = flags.DEFINE_enum(
            "suite",
            None,
            list(evaluation.SUITES),
            "Suite of attacks to run instead of --attack, most of them only on "
            "the images that earlier ones left, with a checklist. autoattack: "
            "the standard version of AutoAttack. rand: its version for models "
            "with a random forward pass. adaptive: cheap attacks first, then "
            "attacks that know of peers, black boxes and transfer. table7: "
            "Table 7 of the paper, finite differences beside white-box attacks "
            "on all images. table7_groups: the same with 384 random groups of "
            "coordinates, in fewer queries (default: none).",
        )
        self._budget = flags.DEFINE_float(
            "budget",
            None,
            "Factor of all steps, restarts, queries and samples of --suite, "
            "except those of the large ball (default: 1).",
            1e-6,
        )
        self._transfer_from = flags.DEFINE_string(
            "transfer_from",
            None,
            "Another model, a .keras file or the name of a published one. "
            "--attack makes its images on it, --suite=adaptive those of its "
            "transfer attack, in the precision in which it was saved "
            "(default: none).",
        )
        flags.mark_flags_as_mutual_exclusive(["attack", "suite"], required=True)

    def suite(
        self, attack_flags: AttackFlags, **config: Any
    ) -> evaluation.SuiteConfig | None:
        """Returns the suite that the flags describe, None for an attack.

        Args:
            attack_flags: the `AttackFlags`, which name the ball.
            **config: other fields of the `SuiteConfig`.

        Raises:
            UserError: if a flag does not fit the others.
        """
        suite, budget = self._suite.value, self._budget.value
        if self.transfer_from is not None:
            shared_flags.check_model(self.transfer_from, "--transfer_from")
        if suite is None:
            if budget is not None:
                raise UserError("--budget is for --suite: leave it out")
            return None
        norm, epsilon = attack_flags.ball(f"--suite={suite}")
        return evaluation.SuiteConfig(
            suite=suite,
            norm=norm or "linf",
            epsilon=epsilon,
            budget=1.0 if budget is None else budget,
            **config,
        )

    @property
    def transfer_from(self) -> str | None:
        """The file or preset of the other model, if one is given."""
        return self._transfer_from.value
