"""Evaluates a model under PGD: `python -m madry_challenge.evaluate`.

    python -m madry_challenge.evaluate --checkpoint=models/adv_trained --watch

Prints the accuracy on test images and on adversarial images. --config and the
flags set the attack. The attack of the leaderboard is `--num_steps=20
--step_size=1`. Run the same command again to resume an interrupted evaluation.
"""

from absl import flags

from madry_challenge import config_flags, evaluation
from peernets_tf import adaptive
from peernets_tf.cli import app, shared_flags
from peernets_tf.evaluation import GraphsConfig

_DEFAULT_DATASET = "cifar10"

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Model to evaluate: a .keras file, the name of a published model such as "
    "cifar10_pr_resnet32, or the --output_dir of madry_challenge.train, whose "
    "newest model is evaluated (required).",
    required=True,
)
_WATCH = flags.DEFINE_bool(
    "watch",
    False,
    "Evaluate each new model in the folder --checkpoint until the training "
    "has ended and its final model is evaluated. After one that diverged, end "
    "it with Ctrl-C (default: false).",
)
_WATCH_SECONDS = flags.DEFINE_float(
    "watch_seconds",
    10.0,
    "Seconds between two checks of the folder with --watch (default: 10).",
    0.1,
)
_read_config = config_flags.define(
    "seed", "num_eval_examples", "eval_batch_size", *config_flags.ATTACK
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    None,
    adaptive.BACKWARDS,
    "Backward pass of PeerRegularization layers that the attack follows. "
    "exact: the layer's own gradient. identity, soft: smoother ones (BPDA), "
    "see peernets_tf.evaluate (default: exact, and for a PeerNet also "
    "identity).",
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers",
    None,
    "N, images in each graph of a PeerNet. If N or M is given, new graphs are "
    "drawn (default: as many as in the graphs that the model stores).",
    1,
)
_NUM_GRAPHS = flags.DEFINE_integer(
    "num_graphs",
    None,
    "M, graphs whose logits are averaged. If N or M is given, new graphs are "
    "drawn (default: as many as the model stores).",
    1,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    "runs/madry_evaluations",
    "Folder for results. It receives a folder for each model, which holds a "
    "folder with record.json for each evaluation (default: "
    "runs/madry_evaluations).",
)
_DATASET = shared_flags.define_dataset(_DEFAULT_DATASET, _DEFAULT_DATASET)
_DATA_DIR = shared_flags.define_data_dir()


def _parse(arguments: list[str]) -> evaluation.EvaluateConfig:
    app.refuse_arguments(arguments)
    return evaluation.EvaluateConfig(
        checkpoint=_CHECKPOINT.value,
        settings=_read_config(),
        graphs=GraphsConfig(
            num_peers=_NUM_PEERS.value, num_graphs=_NUM_GRAPHS.value
        ),
        backward=_BACKWARD.value,
        output_dir=_OUTPUT_DIR.value,
        watch_seconds=_WATCH_SECONDS.value if _WATCH.value else None,
        dataset=_DATASET.value or _DEFAULT_DATASET,
        data_dir=_DATA_DIR.value,
    )


COMMAND = app.Command(
    module="madry_challenge.evaluate", parse=_parse, run=evaluation.evaluate
)

if __name__ == "__main__":
    app.main(COMMAND)
