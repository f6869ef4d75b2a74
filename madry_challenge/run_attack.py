"""Tests a model on adversarial images: `python -m madry_challenge.run_attack`.

    python -m madry_challenge.run_attack --checkpoint=w32.keras

Reads a submission to the challenge from `attack.npy`: adversarial versions of
all CIFAR-10 test images, in CIFAR-10's own order. Prints the accuracy of the
model on them and writes its predictions to `pred.npy`.
"""

from absl import flags

from madry_challenge import config_flags, submission
from peernets_tf import records
from peernets_tf.cli import app, shared_flags

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Model to test: a .keras file, or the name of a published model such as "
    "cifar10_pr_resnet32 (required).",
    required=True,
)
_read_config = config_flags.define("attack", "epsilon")
_PREDICTIONS = flags.DEFINE_string(
    "predictions",
    "pred.npy",
    "The .npy file to write predicted classes to (default: pred.npy).",
)
_DATA_DIR = shared_flags.define_data_dir()


def _parse(arguments: list[str]) -> submission.SubmissionConfig:
    app.refuse_arguments(arguments)
    shared_flags.check_model(_CHECKPOINT.value, "--checkpoint")
    settings = _read_config()
    return submission.SubmissionConfig(
        checkpoint=_CHECKPOINT.value,
        adversarial_path=settings.store_adv_path,
        epsilon=settings.epsilon,
        predictions_path=_PREDICTIONS.value,
        data_dir=_DATA_DIR.value,
    )


def _run(
    config: submission.SubmissionConfig, provenance: records.Provenance
) -> None:
    del provenance
    accuracy = submission.score(config)
    print(f"Accuracy: {accuracy:.2%}\nPredictions: {config.predictions_path}")


COMMAND = app.Command(
    module="madry_challenge.run_attack", parse=_parse, run=_run
)

if __name__ == "__main__":
    app.main(COMMAND)
