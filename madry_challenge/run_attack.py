"""Judges adversarial images: `python -m madry_challenge.run_attack`.

Reads `attack.npy`, adversarial images of all CIFAR-10 test images in CIFAR-10's
order, prints the accuracy of a model on them, and writes its predictions to
`pred.npy`.
"""

import os

import numpy as np
from absl import flags

from madry_challenge import config, data, submission
from peernets_tf import command, models, pretrained, results

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A .keras file, or the name of a trained model in checkpoints/.",
    required=True,
)
_CONFIG = flags.DEFINE_string("config", None, "A config.json.")
_ATTACK = flags.DEFINE_string(
    "attack", None, "The .npy file. Default: the configuration's."
)
_EPSILON = flags.DEFINE_float(
    "epsilon", None, "L-infinity radius, of 255. Default: the configuration's."
)
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
    settings = config.read(_CONFIG.value) if _CONFIG.value else config.Config()
    path = _ATTACK.value or settings.store_adv_path
    epsilon = settings.epsilon if _EPSILON.value is None else _EPSILON.value
    if not os.path.exists(path):
        raise ValueError(f"there is no file {path}")
    try:
        adversarial = np.load(path)
    except ValueError as error:
        raise ValueError(f"cannot read {path} as .npy: {error}") from error
    model = models.load(pretrained.path_of(_CHECKPOINT.value))
    test = data.load(_DATA_DIR.value).test
    submission.check(adversarial, 255 * test.images, epsilon)
    logits = model.predict(adversarial.astype(np.float32) / 255, batch_size=100)
    predictions = np.argmax(logits, axis=1)
    with results.atomic_file(_PREDICTIONS.value) as temporary:
        np.save(temporary, predictions)
    accuracy = np.mean(predictions == test.labels)
    print(f"Accuracy: {accuracy:.2%}\nPredictions: {_PREDICTIONS.value}")


if __name__ == "__main__":
    command.run(run_attack)
