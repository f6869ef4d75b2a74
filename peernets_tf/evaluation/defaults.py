"""Defaults of an evaluation: its data set and its folder."""

import os

from peernets_tf import records
from peernets_tf.adaptive import Ablation
from peernets_tf.errors import UserError
from peernets_tf.evaluation.config import EvaluationConfig
from peernets_tf.evaluation.suite_config import SuiteConfig


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
    checkpoint: str, config: EvaluationConfig | SuiteConfig
) -> str:
    """Returns the folder of an evaluation, named by what is evaluated."""
    if isinstance(config, SuiteConfig):
        parts = [config.suite]
        if config.backward != "exact":
            parts.append(config.backward)
    else:
        search = ["search"] if config.attack.search else []
        parts = [config.attack.name, *search, config.backward]
    graphs = config.graphs
    if graphs.policy != "known":
        parts.append(graphs.policy)
    if graphs.num_peers or graphs.num_graphs:
        parts.append(f"{graphs.num_peers or 'N'}x{graphs.num_graphs or 'M'}")
    if graphs.expectation:
        parts.append(f"eot{graphs.expectation}")
    if isinstance(config, EvaluationConfig):
        parts += _names_of_ablation(config.ablation)
    if config.transfer_from is not None:
        parts.append(f"from_{folder_name(config.transfer_from)}")
    if config.rejected_as is not None:
        parts.append(f"rejected_as_{config.rejected_as}")
    if config.precision is not None:
        parts.append(config.precision)
    name = "_".join([folder_name(checkpoint), *parts])
    return os.path.join("runs", "attacks", name)


def _names_of_ablation(ablation: Ablation) -> list[str]:
    names = [ablation.name] if ablation.name else []
    if ablation.num_neighbors:
        names.append(f"{ablation.num_neighbors}nn")
    return names
