"""Attacks a model on test images: `python -m peernets_tf.evaluate`.

    python -m peernets_tf.evaluate --checkpoint=cifar10_pr_resnet32 --attack=pgd

Prints and records the accuracy before and after the attack. Run the same
command again to resume an interrupted evaluation after its last complete batch.
"""

import dataclasses

from absl import flags

from peernets_tf import adaptive, datasets, evaluation, models, records
from peernets_tf.cli import app, attack_flags, shared_flags

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Model to attack: a .keras file or the name of a published model: "
    f"{', '.join(models.presets())} (required).",
    required=True,
)
_attack_config = attack_flags.define()
_DATASET = shared_flags.define_dataset(
    None, "the one that the checkpoint's record names"
)
_DATA_DIR = shared_flags.define_data_dir()
_SEED = shared_flags.define_seed()
_TEST_SIZE = flags.DEFINE_integer(
    "test_size",
    None,
    "Number of test images to attack, the first ones (default: all).",
    1,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 100, "Test images per batch (default: 100).", 1
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder for record.json and for the batches from which an interrupted "
    "evaluation resumes (default: a folder in runs/attacks, named after "
    "checkpoint, attack, backward pass and graphs).",
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    "exact",
    adaptive.BACKWARDS,
    "Backward pass of PeerRegularization layers that the attack follows. "
    "exact: the layer's own gradient. identity: the gradient of a layer that "
    "returns its input. soft: the gradient of a softmax attention over all "
    "peer pixels (default: exact).",
)
_TEMPERATURE = flags.DEFINE_float(
    "temperature",
    0.05,
    "Softmax temperature of --backward=soft (default: 0.05).",
    1e-6,
)
_PEERS = flags.DEFINE_enum(
    "peers",
    "known",
    evaluation.POLICIES,
    "What the attacker knows about the graphs of peers. known: the graphs that "
    "predictions use. drawn: only that graphs are drawn from the training "
    "images; the attack averages logits over graphs of its own. fresh: the "
    "graphs stored in the model, but predictions use newly drawn ones "
    "(default: known).",
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers",
    None,
    "N, the peers in each graph. If this or --num_graphs is given, new graphs "
    "are drawn from the training images (default: as many as the checkpoint "
    "stores).",
    1,
)
_NUM_GRAPHS = flags.DEFINE_integer(
    "num_graphs",
    None,
    "M, the graphs whose logits are averaged (default: as many as the "
    "checkpoint stores).",
    1,
)
_ATTACK_GRAPHS = flags.DEFINE_integer(
    "attack_graphs",
    None,
    "Graphs whose logits the attack averages (default: 10 for --peers=drawn, "
    "otherwise M).",
    1,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The model and test images to attack, and the attack.

    Attributes:
        checkpoint: str, a .keras file or the name of a preset.
        dataset: str or None, a data set's name; None for the one that the
            checkpoint's record names.
        data_dir: str or None, the folder of TensorFlow Datasets.
        evaluation: the `EvaluationConfig`.
    """

    checkpoint: str
    dataset: str | None
    data_dir: str | None
    evaluation: evaluation.EvaluationConfig


def _parse(arguments: list[str]) -> Config:
    app.refuse_arguments(arguments)
    models.check_name(_CHECKPOINT.value)
    attack = _attack_config()
    graphs = evaluation.GraphsConfig(
        policy=_PEERS.value,
        num_peers=_NUM_PEERS.value,
        num_graphs=_NUM_GRAPHS.value,
        attack_graphs=_ATTACK_GRAPHS.value,
    )
    return Config(
        checkpoint=_CHECKPOINT.value,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        evaluation=evaluation.EvaluationConfig(
            attack=attack,
            graphs=graphs,
            backward=_BACKWARD.value,
            temperature=_TEMPERATURE.value,
            test_size=_TEST_SIZE.value,
            batch_size=_BATCH_SIZE.value,
            seed=_SEED.value,
            output_dir=_OUTPUT_DIR.value
            or evaluation.default_folder(
                _CHECKPOINT.value, attack, graphs, _BACKWARD.value
            ),
        ),
    )


def _run(config: Config, provenance: records.Provenance) -> None:
    path = models.preset_path(config.checkpoint)
    model = models.load(path)
    name = config.dataset or evaluation.trained_on(path)
    evaluation.evaluate(
        model,
        datasets.load(name, config.data_dir),
        config.evaluation,
        checkpoint=config.checkpoint,
        provenance=provenance,
    )


COMMAND = app.Command(module="peernets_tf.evaluate", parse=_parse, run=_run)


def main() -> None:
    """Runs the command."""
    app.main(COMMAND)


if __name__ == "__main__":
    main()
