"""Times a training step: `python -m benchmarks.training_step`.

A PeerNet and its baseline take turns at one step each (forward, backward,
update) on the same batch of random images and labels, both compiled as
`peernets_tf.training.fit` compiles and with the PeerNet's recipe. The ratio is
what Peer Regularization costs in training.
"""

import math
import os

import keras
import numpy as np
from absl import flags

from benchmarks import timing
from peernets_tf import command, models, recipes, results, training

# Baselines, with the data set whose recipe and image shape they take.
_BASELINES = {
    "lenet5": ("mnist", (28, 28, 1)),
    "resnet32": ("cifar10", (32, 32, 3)),
}
_NUM_CLASSES = 10

_MODELS = flags.DEFINE_multi_enum(
    "model",
    list(_BASELINES),
    list(_BASELINES),
    "A baseline, timed with its PeerNet; may be repeated.",
)
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Steps timed of each network.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of everything drawn.", 0)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results", "Where benchmark_training_step.json goes."
)


def benchmark(argv):
    """Times the pairs and writes the record."""
    del argv
    load_average = os.getloadavg()[0]
    keras.utils.set_random_seed(_SEED.value)
    os.makedirs(_OUTPUT_DIR.value, exist_ok=True)
    cases = [_times(baseline) for baseline in _MODELS.value]
    rows = [
        (
            name,
            str(case["batch_size"]),
            f"{1000 * seconds:.1f}",
            f"{case['ratio_to_baseline'][name]:.2f}",
        )
        for case in cases
        for name, seconds in case["median_seconds"].items()
    ]
    columns = ("", "batch", "median ms", "/ baseline")
    print(f"\n{results.format_table(columns, rows)}")
    timing.write_record(
        "training_step",
        cases,
        rounds=_ROUNDS.value,
        load_average=load_average,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def _times(baseline):
    """Returns the case of a baseline and its PeerNet."""
    dataset, image_shape = _BASELINES[baseline]
    peernet = f"pr_{baseline}"
    recipe = recipes.recipe(peernet, dataset)
    generator = np.random.default_rng(_SEED.value)
    images = generator.random(
        (recipe.batch_size, *image_shape), dtype="float32"
    )
    labels = generator.integers(0, _NUM_CLASSES, recipe.batch_size)
    steps = {
        name: _step(name, recipe, images, labels)
        for name in (baseline, peernet)
    }
    seconds = timing.time_interleaved(
        steps, _ROUNDS.value, label=f"{baseline}, batch of {recipe.batch_size}"
    )
    for name, step in steps.items():
        if not math.isfinite(step()):
            raise ValueError(f"the loss of {name} is no longer a number")
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


def _step(name, recipe, images, labels):
    """Returns a function that trains a network on one batch, to its loss."""
    model = models.build(
        name, images.shape[1:], _NUM_CLASSES, l2=recipe.l2, seed=_SEED.value
    )
    # Any length of an epoch: the schedule costs the same at each step.
    training.compile_model(model, recipe, steps_per_epoch=1000)
    return lambda: float(model.train_on_batch(images, labels)[0])


if __name__ == "__main__":
    command.run(benchmark)
