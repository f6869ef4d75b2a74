"""Times adversarial training: `python -m benchmarks.adversarial_training`.

Times rounds of four training steps on one batch of CIFAR-10. A step is PGD-10
on the trained ResNet-32, then training on the adversarial images. Ours compiles
both as one graph. cleverhans and ART get a model of the same weights and return
adversarial images, on which the same compiled training step follows. All of
them attack in inference mode, the only mode of ART. Ours is also timed in the
challenge's mode, with the batch's statistics.

Libraries that are not installed are left out: pip install -e ".[benchmark]".
"""

import dataclasses
import importlib.metadata

import keras
import numpy as np
from absl import flags

from benchmarks import rivals, timing
from madry_challenge.adversarial_training import AdversarialTrainer
from madry_challenge.config import Config
from peernets_tf import attacks, datasets, models, training
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError

_DATA_DIR = shared_flags.define_data_dir()
_ROUNDS = flags.DEFINE_integer(
    "rounds", 3, "Rounds of four steps that are timed (default: 3).", 1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 64, "Images per step (default: 64).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("adversarial_training")

_NETWORK = "resnet32"
# In a training the same step runs again and again. The first step after another
# library's finds other caches and memory, so a round has several.
_STEPS = 4
_RIVALS = {
    "cleverhans": "cleverhans",
    "art": "adversarial-robustness-toolbox",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    data_dir: str | None
    rounds: int
    batch_size: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        data_dir=_DATA_DIR.value,
        rounds=_ROUNDS.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Times the steps and writes the record."""
    begun = timing.begin(config.output_dir)
    keras.utils.set_random_seed(config.seed)
    settings = Config(training_batch_size=config.batch_size)
    dataset = datasets.load("cifar10", config.data_dir)
    batch = dataset.train.first(config.batch_size)
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
    seconds = timing.time_interleaved(
        steps, config.rounds, label=label, warm_up_rounds=1
    )
    for name, step in steps.items():
        if not np.isfinite(step()):
            raise UserError(
                f"the loss of {name} must be finite, but diverged: its times "
                "mean nothing. Give fewer --rounds"
            )
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
    timing.print_ratios(label, seconds, "ours")
    timing.write_record(
        "adversarial_training",
        [case],
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
        warm_up_rounds=1,
        versions=versions,
    )


def _model():
    return models.load_pretrained(f"cifar10_{_NETWORK}")


def _optimizer(settings):
    return keras.optimizers.SGD(
        settings.step_size_schedule[0][1], momentum=settings.momentum
    )


def _ours(settings, images, labels, *, attack_mode):
    trainer = AdversarialTrainer(_model(), settings, attack_mode=attack_mode)
    training.compile_with(trainer, _optimizer(settings))
    return _repeated(lambda: trainer.train_on_batch(images, labels))


def _training_on(attack, model, settings, images, labels):
    """Returns training steps on the adversarial images of a library."""
    training.compile_with(model, _optimizer(settings))
    return _repeated(
        lambda: model.train_on_batch(attack(images, labels), labels)
    )


def _repeated(step):
    """Returns a function of `_STEPS` steps that returns the last loss."""

    def steps():
        for _ in range(_STEPS):
            loss, _accuracy = step()
        return float(loss)

    return steps


def _cleverhans(settings, images, labels):
    model = _model()
    attack = attacks.CleverHansPGD(
        epsilon=settings.epsilon / 255,
        steps=settings.num_steps,
        step_size=settings.step_size / 255,
    )
    # cleverhans compiles for each new function: it must see one and the same.
    classifier = attacks.Classifier(
        lambda images: model(images, training=False)
    )

    def adversarial(images, labels):
        return attack(classifier, images, labels)

    return _training_on(adversarial, model, settings, images, labels)


def _art(settings, images, labels):
    model = _model()
    attack = rivals.art_pgd(
        model,
        settings.epsilon / 255,
        steps=settings.num_steps,
        step_size=settings.step_size / 255,
        batch_size=len(images),
    )
    return _training_on(attack, model, settings, images, labels)


COMMAND = app.Command(
    module="benchmarks.adversarial_training", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
