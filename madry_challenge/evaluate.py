"""Evaluates a model under PGD: `python -m madry_challenge.evaluate`.

    python -m madry_challenge.evaluate --checkpoint=models/adv_trained --watch

Prints the accuracy on test images and on adversarial images. The attack is that
of the configuration; the leaderboard's is `--num_steps=20 --step_size=1`. Give
the same command again to resume an evaluation that was interrupted.
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
    "The model: a .keras file, the name of a preset such as "
    "cifar10_pr_resnet32, or the --output_dir of madry_challenge.train, whose "
    "newest model is evaluated.",
    required=True,
)
_WATCH = flags.DEFINE_bool(
    "watch",
    False,
    "Keep looking at the folder --checkpoint, and evaluate its newest model "
    "whenever there is a newer one, until that is the trained one.",
)
_WATCH_SECONDS = flags.DEFINE_float(
    "watch_seconds", 10.0, "Seconds between two looks at the folder.", 0.1
)
_read_config = config_flags.define(
    "seed", "num_eval_examples", "eval_batch_size", *config_flags.ATTACK
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    "exact",
    adaptive.BACKWARDS,
    "Backward pass of PeerRegularization layers that the attack follows: "
    "exact, or the smoother identity or soft (BPDA).",
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers",
    None,
    "N, images in each graph of a PeerNet (default: as in the graphs that the "
    "model stores). Giving N or M draws new graphs.",
    1,
)
_NUM_GRAPHS = flags.DEFINE_integer(
    "num_graphs",
    None,
    "M, graphs whose logits are averaged (default: as many as the model "
    "stores). Giving N or M draws new graphs.",
    1,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    "runs/madry_evaluations",
    "Folder of results: a folder for each model, and in it one for each "
    "evaluation with its record.json.",
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
