"""Times a training step: `python -m benchmarks.training_step`.

A PeerNet and its baseline take turns at one step each (forward, backward,
update) on the same batch of random images and labels. Both are compiled as
`peernets_tf.training.fit` does it, with the PeerNet's recipe. The ratio is what
Peer Regularization costs in training.
"""

import dataclasses
import math

import keras
import numpy as np
from absl import flags

from benchmarks import timing
from peernets_tf import models, training
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError

# Baseline: the data set whose recipe it takes, and the shape of its images.
_BASELINES = {
    "lenet5": ("mnist", (28, 28, 1)),
    "resnet32": ("cifar10", (32, 32, 3)),
}
_NUM_CLASSES = 10

_MODELS = flags.DEFINE_multi_enum(
    "model",
    list(_BASELINES),
    list(_BASELINES),
    "Baseline that is timed with its PeerNet; may be repeated (default: both).",
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 30, "Steps of each network that are timed (default: 30).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("training_step")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    baselines: tuple
    rounds: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        baselines=tuple(_MODELS.value),
        rounds=_ROUNDS.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Times the pairs and writes the record."""
    begun = timing.begin(config.output_dir)
    keras.utils.set_random_seed(config.seed)
    cases = [_times(baseline, config) for baseline in config.baselines]
    for case in cases:
        label = f"batch of {case['batch_size']}"
        timing.print_ratios(label, case["seconds"], case["baseline"])
    timing.write_record(
        "training_step",
        cases,
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
    )


def _times(baseline, config):
    """Returns the case of a baseline and its PeerNet."""
    dataset, image_shape = _BASELINES[baseline]
    peernet = f"pr_{baseline}"
    recipe = training.recipe(peernet, dataset)
    generator = np.random.default_rng(config.seed)
    images = generator.random(
        (recipe.batch_size, *image_shape), dtype="float32"
    )
    labels = generator.integers(0, _NUM_CLASSES, recipe.batch_size)
    steps = {
        name: _step(name, recipe, images, labels, config.seed)
        for name in (baseline, peernet)
    }
    seconds = timing.time_interleaved(
        steps, config.rounds, label=f"{baseline}, batch of {recipe.batch_size}"
    )
    for name, step in steps.items():
        if not math.isfinite(step()):
            raise UserError(
                f"the loss of {name} must be finite, but diverged: its times "
                "mean nothing. Give fewer --rounds"
            )
    return {
        "baseline": baseline,
        "peernet": peernet,
        "batch_size": recipe.batch_size,
        "image_shape": list(image_shape),
        "optimizer": recipe.optimizer,
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_baseline": timing.median_ratios(seconds, baseline),
    }


def _step(name, recipe, images, labels, seed):
    """Returns a function that trains a network on one batch, to its loss."""
    model = models.build(
        name, images.shape[1:], _NUM_CLASSES, l2=recipe.l2, seed=seed
    )
    # The schedule costs the same at each step of an epoch of any length.
    training.compile_model(model, recipe, steps_per_epoch=1000)
    return lambda: float(model.train_on_batch(images, labels)[0])


COMMAND = app.Command(
    module="benchmarks.training_step", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
