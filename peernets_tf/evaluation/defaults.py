"""Defaults of an evaluation: its data set and its folder."""

import os

from peernets_tf import records
from peernets_tf.adaptive import Ablation
from peernets_tf.errors import UserError
from peernets_tf.evaluation.plan import AttackConfig
from peernets_tf.evaluation.suite_config import SuiteConfig
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


def folder_name(checkpoint: str) -> str:
    """Returns a checkpoint's path as a part of the name of a folder."""
    path = checkpoint.removesuffix(".keras")
    return path.replace(os.sep, "_").strip("._")


def default_folder(
    checkpoint: str,
    attack: AttackConfig,
    graphs: GraphsConfig,
    backward: str,
    ablation: Ablation | None = None,
    rejected_as: str | None = None,
) -> str:
    """Returns the folder of an evaluation, named by what is evaluated."""
    names = [attack.name, *(["search"] if attack.search else []), backward]
    path = _folder(checkpoint, names, graphs)
    if ablation and ablation.name:
        path += f"_{ablation.name}"
    if ablation and ablation.num_neighbors:
        path += f"_{ablation.num_neighbors}nn"
    return path + _rejected_as(rejected_as)


def default_suite_folder(checkpoint: str, config: SuiteConfig) -> str:
    """Returns the folder of an evaluation by a suite, named likewise."""
    names = [config.suite]
    if config.backward != "exact":
        names.append(config.backward)
    if config.graphs.policy != "known":
        names.append(config.graphs.policy)
    path = _folder(checkpoint, names, config.graphs)
    return path + _rejected_as(config.rejected_as)


def _rejected_as(rejected_as: str | None) -> str:
    return "" if rejected_as is None else f"_rejected_as_{rejected_as}"


def _folder(checkpoint: str, names: list[str], graphs: GraphsConfig) -> str:
    parts = [folder_name(checkpoint), *names]
    if graphs.num_peers or graphs.num_graphs:
        parts.append(f"{graphs.num_peers or 'N'}x{graphs.num_graphs or 'M'}")
    if graphs.expectation:
        parts.append(f"eot{graphs.expectation}")
    return os.path.join("runs", "attacks", "_".join(parts))
