"""Defaults of an evaluation: its data set and its folder."""

import os

from peernets_tf import records
from peernets_tf.adaptive import Ablation
from peernets_tf.errors import UserError
from peernets_tf.evaluation.plan import AttackConfig
from peernets_tf.evaluation.threat_model import GraphsConfig


def trained_on(path: str) -> str:
    """Returns the name of the data set that a model was trained on.

    Args:
        path: str, the model's .keras file, see `records.of_model`.

    Raises:
        UserError: if there is no record of a training.
    """
    record = records.of_model(path)
    if record is not None:
        return record.dataset
    raise UserError(
        f"expected the record of a training next to {path}, which names the "
        "data set. Received: none; give --dataset"
    )


def default_folder(
    checkpoint: str,
    attack: AttackConfig,
    graphs: GraphsConfig,
    backward: str,
    ablation: Ablation | None = None,
) -> str:
    """Returns the folder of an evaluation, named by what is evaluated."""
    path = checkpoint.removesuffix(".keras")
    parts = [path.replace(os.sep, "_").strip("._"), attack.name]
    if attack.search:
        parts.append("search")
    parts.append(backward)
    if graphs.num_peers or graphs.num_graphs:
        parts.append(f"{graphs.num_peers or 'N'}x{graphs.num_graphs or 'M'}")
    if graphs.expectation:
        parts.append(f"eot{graphs.expectation}")
    if ablation and ablation.name:
        parts.append(ablation.name)
    if ablation and ablation.num_neighbors:
        parts.append(f"{ablation.num_neighbors}nn")
    return os.path.join("runs", "attacks", "_".join(parts))
