"""Judges adversarial images: `python -m madry_challenge.run_attack`.

Reads `attack.npy`, adversarial images of all CIFAR-10 test images in CIFAR-10's
order, prints the accuracy of a model on them, and writes its predictions to
`pred.npy`.
"""

import numpy as np
from absl import flags

from madry_challenge import config_flags, data, submission
from peernets_tf import (
    command,
    evaluation,
    models,
    peers,
    pretrained,
    results,
)
from peernets_tf.data import read_array

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A .keras file, or the name of a trained model in checkpoints/.",
    required=True,
)
_config = config_flags.define("attack", "epsilon")
_PREDICTIONS = flags.DEFINE_string(
    "predictions", "pred.npy", "Where the predictions go."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)


def run_attack(argv: list[str]) -> None:
    """Checks the images, prints the accuracy, writes the predictions."""
    if argv[1:]:
        raise ValueError(f"not a flag: {' '.join(argv[1:])}")
    if not _PREDICTIONS.value.endswith(".npy"):
        raise ValueError(f"--predictions={_PREDICTIONS.value}: end it in .npy")
    results.check_folder_of(_PREDICTIONS.value)
    settings = _config()
    adversarial = read_array(settings.store_adv_path)
    model = models.load(pretrained.path_of(_CHECKPOINT.value))
    dataset = data.load("cifar10", _DATA_DIR.value)
    evaluation.check_fits(model, dataset)
    test = dataset.test
    submission.check(adversarial, 255 * test.images, settings.epsilon)
    logits = peers.monte_carlo(model).predict(
        adversarial.astype(np.float32) / 255, batch_size=100
    )
    if not np.isfinite(logits).all():
        raise ValueError(f"the logits of {model.name} are not finite numbers")
    predictions = np.argmax(logits, axis=1)
    with results.atomic_file(_PREDICTIONS.value) as temporary:
        np.save(temporary, predictions)
    accuracy = np.mean(predictions == test.labels)
    print(f"Accuracy: {accuracy:.2%}\nPredictions: {_PREDICTIONS.value}")


if __name__ == "__main__":
    command.run(run_attack)
