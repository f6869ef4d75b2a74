"""Trains on adversarial images: `python -m madry_challenge.train`.

    python -m madry_challenge.train --network=resnet32 --config=config.json

A training that was stopped goes on from its last checkpoint when the same
command is given again. It needs Keras's TensorFlow backend.
"""

from absl import flags

from madry_challenge import config_flags, data, runs, training
from peernets_tf import attacks, command, pretrained, results

_NETWORK = flags.DEFINE_enum(
    "network",
    "w32-10",
    runs.NETWORKS,
    "The challenge's w32-10 or thin, or a network of ours.",
)
_config = config_flags.define(
    "seed",
    "output_dir",
    "max_num_training_steps",
    "num_checkpoint_steps",
    "training_batch_size",
    "step_size_schedule",
    "weight_decay",
    "momentum",
    *config_flags.ATTACK,
)
_ATTACK_MODE = flags.DEFINE_enum(
    "attack_mode",
    "train",
    training.MODES,
    "How a batch is attacked. train: batch normalization with the batch's "
    "statistics, which also moves the averages, as in the original; a "
    "PeerNet's graph is the batch, and its dropouts are drawn at each step. "
    "eval: in inference mode, with a PeerNet's graph of the last checkpoint.",
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    "exact",
    attacks.BACKWARDS,
    "The gradient of PeerRegularization layers that the attack follows.",
)
_AUGMENT = flags.DEFINE_bool(
    "augment", None, "Shift and mirror images. Default: for CIFAR only."
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers", 50, "N, peers in a graph of the trained PeerNet.", 1
)
_NUM_GRAPHS = flags.DEFINE_integer(
    "num_graphs", 10, "M, graphs of the trained PeerNet.", 1
)
_VALIDATION_SIZE = flags.DEFINE_integer(
    "validation_size", 1000, "Test images used at each checkpoint.", 1
)
_INITIAL_MODEL = flags.DEFINE_string(
    "initial_model",
    None,
    "A .keras file, or the name of a trained model in checkpoints/: layers "
    "start from the weights of its layers of the same name.",
)
_DATASET = flags.DEFINE_string(
    "dataset", "cifar10", "A data set of TFDS, or the path of an .npz file."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)


def train(argv: list[str]) -> None:
    """Trains, and writes the model and its checkpoints."""
    if argv[1:]:
        raise ValueError(f"not a flag: {' '.join(argv[1:])}")
    # Now, because the source may change while the training runs.
    environment = results.environment()
    settings = _config()
    initial = _INITIAL_MODEL.value
    dataset = data.load(_DATASET.value, _DATA_DIR.value)
    augment = _AUGMENT.value
    if augment is None:
        augment = dataset.name.startswith("cifar")
    options = runs.Options(
        network=_NETWORK.value,
        attack_mode=_ATTACK_MODE.value,
        backward=_BACKWARD.value,
        augment=augment,
        num_peers=_NUM_PEERS.value,
        num_graphs=_NUM_GRAPHS.value,
        validation_size=_VALIDATION_SIZE.value,
        initial_model=pretrained.path_of(initial) if initial else None,
    )
    print(
        f"Training {options.network} on {dataset.name} for "
        f"{settings.max_num_training_steps} steps in {settings.model_dir}",
        flush=True,
    )
    runs.train(options, settings, dataset, environment)
    path = runs.newest_model(settings.model_dir)
    print(f"Model: {path}\nIts robustness: ", end="")
    print(f"python -m madry_challenge.evaluate --checkpoint={path}")


if __name__ == "__main__":
    command.run(train)
