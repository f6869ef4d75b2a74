"""Trains on adversarial images: `python -m madry_challenge.train`.

    python -m madry_challenge.train --network=resnet32 --config=config.json

PGD attacks each batch, and the network trains on the adversarial images. With
--num_steps=0 it trains on unperturbed images. Run the same command again to
resume an interrupted training. It needs Keras's TensorFlow backend.
"""

import shlex

from absl import flags

from madry_challenge import config as challenge_config
from madry_challenge import config_flags, options, runs
from peernets_tf import adaptive, records
from peernets_tf.cli import app, shared_flags

_DEFAULT_DATASET = "cifar10"

_NETWORK = flags.DEFINE_enum(
    "network",
    "w32-10",
    options.NETWORKS,
    "Network to train: w32-10 or thin of the challenge, or a model of "
    "peernets_tf (default: w32-10).",
)
_read_config = config_flags.define(
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
    options.MODES,
    "Mode of the network while a batch is attacked. train: training mode, as "
    "in the original. Batch normalization uses the batch's statistics and "
    "updates its moving averages; a PeerNet uses the batch as its graph and "
    "draws new dropout at each step. eval: inference mode; a PeerNet uses the "
    "graph of the last checkpoint (default: train).",
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    "exact",
    adaptive.BACKWARDS,
    "Backward pass of PeerRegularization layers that the attack follows. "
    "exact: the layer's own gradient. identity, soft: smoother ones (BPDA), "
    "see peernets_tf.evaluate (default: exact).",
)
_AUGMENT = flags.DEFINE_bool(
    "augment",
    None,
    "Shift and mirror training images (default: true for CIFAR, otherwise "
    "false).",
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers", 50, "N, images in each graph of a PeerNet (default: 50).", 1
)
_NUM_GRAPHS = flags.DEFINE_integer(
    "num_graphs",
    10,
    "M, graphs stored in the trained PeerNet (default: 10).",
    1,
)
_VALIDATION_SIZE = flags.DEFINE_integer(
    "validation_size",
    1000,
    "Test images that are classified at each checkpoint (default: 1000).",
    1,
)
_INITIAL_MODEL = flags.DEFINE_string(
    "initial_model",
    None,
    "A .keras file, or the name of a published model such as cifar10_resnet32. "
    "Each layer starts from the weights of the layer of the same name in it "
    "(default: random weights).",
)
_DISTRIBUTION = flags.DEFINE_enum(
    "distribution",
    None,
    ["mirrored"],
    "How all GPUs of this machine share the training. mirrored: "
    "tf.distribute; each device gets a share of every batch, which is also the "
    "graph of a PeerNet (default: one device).",
)
_DATASET = shared_flags.define_dataset(_DEFAULT_DATASET, _DEFAULT_DATASET)
_DATA_DIR = shared_flags.define_data_dir()


def _parse(arguments: list[str]) -> runs.TrainConfig:
    app.refuse_arguments(arguments)
    if _INITIAL_MODEL.value is not None:
        shared_flags.check_model(_INITIAL_MODEL.value, "--initial_model")
    return runs.TrainConfig(
        settings=_read_config(),
        options=options.Options(
            network=_NETWORK.value,
            attack_mode=_ATTACK_MODE.value,
            backward=_BACKWARD.value,
            augment=_AUGMENT.value,
            num_peers=_NUM_PEERS.value,
            num_graphs=_NUM_GRAPHS.value,
            validation_size=_VALIDATION_SIZE.value,
            initial_model=_INITIAL_MODEL.value,
        ),
        dataset=_DATASET.value or _DEFAULT_DATASET,
        data_dir=_DATA_DIR.value,
        distribution=_DISTRIBUTION.value,
    )


def _run(config: runs.TrainConfig, provenance: records.Provenance) -> None:
    trained = runs.train(config, provenance)
    command = ["python", "-m", "madry_challenge.evaluate"]
    command.append(f"--checkpoint={trained.path}")
    epsilon = config.settings.epsilon
    if epsilon != challenge_config.Config().epsilon:
        command.append(f"--epsilon={epsilon:g}")
    if config.dataset != _DEFAULT_DATASET:
        command.append(f"--dataset={config.dataset}")
    if config.data_dir is not None:
        command.append(f"--data_dir={config.data_dir}")
    print(f"Model: {trained.path}\nIts robust accuracy: {shlex.join(command)}")


COMMAND = app.Command(module="madry_challenge.train", parse=_parse, run=_run)

if __name__ == "__main__":
    app.main(COMMAND)
