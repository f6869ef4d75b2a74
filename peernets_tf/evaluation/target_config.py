"""What an evaluation attacks, by one attack or by a suite."""

import dataclasses

from peernets_tf import adaptive, attacks
from peernets_tf.errors import UserError
from peernets_tf.evaluation.shard import Shard
from peernets_tf.evaluation.threat_model import GraphsConfig
from peernets_tf.plain_numbers import make_plain


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """Which view of a model is attacked, and on which images.

    Attributes:
        graphs: the `GraphsConfig`.
        backward: one of `adaptive.BACKWARDS`, the backward pass of
            PeerRegularization layers, or of what else hides a gradient, that
            attacks follow. It must be `"exact"` for a model that has neither.
        test_size: int or None, the number of test images, the first ones; None
            for all.
        batch_size: int, test images attacked at once.
        seed: int, the seed of everything drawn.
        rejected_as: `"wrong"`, `"right"` or None, what a rejected adversarial
            image counts as. The model's last logit is then that of rejection.
            A rejected unperturbed image always counts as wrong.
        precision: str or None, the precision in which the model was loaded, see
            `peernets_tf.models.load`; None for that in which it was saved.
        transfer_from: str or None, the file or preset of another model, on
            which adversarial images are made for this one.
        shard: the `Shard`, the share of the batches that is attacked here.
        output_dir: str, the folder of this evaluation: run.json, batches.jsonl
            (batches-1-of-2.jsonl for a shard) and record.json.

    Raises:
        UserError: if a value is out of range.
    """

    graphs: GraphsConfig = GraphsConfig()
    backward: str = "exact"
    test_size: int | None = None
    batch_size: int = 100
    seed: int = 0
    rejected_as: str | None = None
    precision: str | None = None
    transfer_from: str | None = None
    shard: Shard = Shard()
    output_dir: str

    def __post_init__(self) -> None:
        make_plain(self)
        if self.backward not in adaptive.BACKWARDS:
            raise UserError(
                f"`backward` must be one of {adaptive.BACKWARDS}. Received: "
                f"{self.backward}"
            )
        attacks.rejection.check_rejected_as(self.rejected_as)
        for name, smallest in (
            ("test_size", 1),
            ("batch_size", 1),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if value is not None or name != "test_size":
                attacks.checks.check_number(
                    name, value, smallest=smallest, is_count=True
                )
