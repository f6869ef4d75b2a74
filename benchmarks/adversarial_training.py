"""Times adversarial training: `python -m benchmarks.adversarial_training`.

Steps on one batch of CIFAR-10, four in turn: PGD-10 on the trained ResNet-32,
then a training step on what it made. Ours compiles both as one graph;
cleverhans and ART are given a model of the same weights, hand over their
adversarial images, and the same compiled training step follows. All attack in
inference mode, the only one that ART has; ours also as the challenge does, with
the batch's statistics.

What is not installed is left out: pip install -e ".[benchmark]".
"""

import importlib.metadata
import os
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import timing
from madry_challenge.config import Config
from madry_challenge.training import AdversarialTrainer
from peernets_tf import command, data, load_pretrained, results, training
from peernets_tf.attacks import CleverHans

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds timed of each.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images a step.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of everything drawn.", 0)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results", "Where benchmark_adversarial_training.json goes."
)

_NETWORK = "resnet32"
# A round: the first step after another's finds caches and memory as that left
# them, which a training does not.
_STEPS = 4
_RIVALS = {
    "cleverhans": "cleverhans",
    "art": "adversarial-robustness-toolbox",
}


def benchmark(argv):
    """Times the steps and writes the record."""
    del argv
    load_average = os.getloadavg()[0]
    keras.utils.set_random_seed(_SEED.value)
    os.makedirs(_OUTPUT_DIR.value, exist_ok=True)
    settings = Config(training_batch_size=_BATCH_SIZE.value)
    batch = data.load("cifar10", _DATA_DIR.value).train.first(_BATCH_SIZE.value)
    images, labels = batch.images, batch.labels
    steps = {
        "ours": _ours(settings, images, labels, attack_mode="eval"),
        "ours, batch statistics": _ours(
            settings, images, labels, attack_mode="train"
        ),
    }
    versions = {}
    for name, make in (("cleverhans", _cleverhans), ("art", _art)):
        try:
            versions[name] = importlib.metadata.version(_RIVALS[name])
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is not installed and is left out")
            continue
        steps[name] = make(settings, images, labels)
    label = f"{_NETWORK}, PGD-{settings.num_steps}, batch of {len(images)}"
    seconds = timing.time_interleaved(steps, _ROUNDS.value, label=label)
    for name, step in steps.items():
        if not np.isfinite(step()):
            raise ValueError(f"the loss of {name} is no longer a number")
    case = {
        "network": _NETWORK,
        "num_steps": settings.num_steps,
        "batch_size": len(images),
        "steps_a_round": _STEPS,
        "image_shape": list(images.shape[1:]),
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_ours": timing.median_ratios(seconds, "ours"),
    }
    rows = [
        (
            name,
            f"{_STEPS * len(images) / median:.1f}",
            f"{case['ratio_to_ours'][name]:.2f}",
        )
        for name, median in case["median_seconds"].items()
    ]
    columns = (label, "images / s", "time / ours")
    print(f"\n{results.format_table(columns, rows)}")
    timing.write_record(
        "adversarial_training",
        [case],
        rounds=_ROUNDS.value,
        load_average=load_average,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
        versions=versions,
    )


def _model():
    return load_pretrained(f"cifar10_{_NETWORK}")


def _optimizer(settings):
    return keras.optimizers.SGD(
        settings.step_size_schedule[0][1], momentum=settings.momentum
    )


def _ours(settings, images, labels, *, attack_mode):
    trainer = AdversarialTrainer(_model(), settings, attack_mode=attack_mode)
    training.compile_with(trainer, _optimizer(settings))
    return _repeated(lambda: trainer.train_on_batch(images, labels))


def _training_on(attack, model, settings, images, labels):
    """Returns steps on what a library's attack makes of the images."""
    training.compile_with(model, _optimizer(settings))
    return _repeated(
        lambda: model.train_on_batch(attack(images, labels), labels)
    )


def _repeated(step):
    """Returns a function of `_STEPS` steps, to the last one's loss."""

    def steps():
        for _ in range(_STEPS):
            loss, _accuracy = step()
        return float(loss)

    return steps


def _cleverhans(settings, images, labels):
    model = _model()
    attack = CleverHans(
        epsilon=settings.epsilon / 255,
        steps=settings.num_steps,
        step_size=settings.step_size / 255,
    )

    def logits_fn(images):
        return model(images, training=False)

    def adversarial(images, labels):
        return attack(logits_fn, images, labels)

    return _training_on(adversarial, model, settings, images, labels)


def _art(settings, images, labels):
    with warnings.catch_warnings():
        # It warns that PyTorch is not installed.
        warnings.simplefilter("ignore")
        from art.attacks.evasion import ProjectedGradientDescent
        from art.estimators.classification import TensorFlowV2Classifier

    model = _model()
    classifier = TensorFlowV2Classifier(
        model,
        nb_classes=model.output_shape[-1],
        input_shape=images.shape[1:],
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        ),
        clip_values=(0, 1),
    )
    attack = ProjectedGradientDescent(
        classifier,
        eps=settings.epsilon / 255,
        eps_step=settings.step_size / 255,
        max_iter=settings.num_steps,
        num_random_init=1,
        batch_size=len(images),
        verbose=False,
    )
    return _training_on(attack.generate, model, settings, images, labels)


if __name__ == "__main__":
    command.run(benchmark)
