"""Makes a small file of a trained model: `python -m peernets_tf.publish`.

    python -m peernets_tf.publish --run_dir=runs/mnist_lenet5 --name=my_lenet5

Keeps the weights and the first graph of peers, and drops the optimizer. Then
measures the test accuracy of the published model, and writes it to a record and
to a model card.
"""

from absl import flags

from peernets_tf import models, records, training
from peernets_tf.cli import app, shared_flags

_RUN_DIR = flags.DEFINE_string(
    "run_dir",
    None,
    "The --output_dir of a finished run of peernets_tf.train or "
    "madry_challenge.train (required).",
    required=True,
)
_NAME = flags.DEFINE_string(
    "name",
    None,
    "Name of the published model and of its three files (required).",
    required=True,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    str(models.PRESET_FOLDER),
    "Folder for NAME.keras, NAME.json and NAME.md (default: the folder in the "
    "package where peernets_tf.load_pretrained finds them).",
)
_DATA_DIR = shared_flags.define_data_dir()
_TEST_SIZE = flags.DEFINE_integer(
    "test_size",
    1000,
    "Number of test images, the first ones, that the published model "
    "classifies (default: 1000).",
    1,
)


def _parse(arguments: list[str]) -> training.PublishingConfig:
    app.refuse_arguments(arguments)
    return training.PublishingConfig(
        run_dir=_RUN_DIR.value,
        name=_NAME.value,
        output_dir=_OUTPUT_DIR.value,
        data_dir=_DATA_DIR.value,
        test_size=_TEST_SIZE.value,
    )


def _run(
    config: training.PublishingConfig, provenance: records.Provenance
) -> None:
    del provenance  # The published record keeps the training's provenance.
    training.publish(config)


COMMAND = app.Command(module="peernets_tf.publish", parse=_parse, run=_run)

if __name__ == "__main__":
    app.main(COMMAND)
