"""Compares mixed precision with float32: `python -m benchmarks.precision`.

PR-LeNet-5 and PR-ResNet-32 are built twice, with float32 and with the Keras
policy mixed_bfloat16. The two take turns at one training step each, on the same
batch of training images, with the PeerNet's recipe. Then both get the weights
of the published network and the same graph of peers, take turns at one batch of
100 test images, and classify the first test images.
"""

import dataclasses

import keras
import numpy as np
from absl import flags

from benchmarks import timing
from peernets_tf import datasets, models, peers, training
from peernets_tf.cli import app, shared_flags

# Test images classified at once.
_BATCH_SIZE = 100
# PeerNet: its data set. The published network is named after both.
_PEERNETS = {"pr_lenet5": "mnist", "pr_resnet32": "cifar10"}

_ROUNDS = flags.DEFINE_integer(
    "rounds", 5, "Steps and batches that are timed (default: 5).", 1
)
_TEST_SIZE = flags.DEFINE_integer(
    "test_size", 1000, "Test images that are classified (default: 1000).", 1
)
_DATA_DIR = shared_flags.define_data_dir()
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("precision")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    rounds: int
    test_size: int
    data_dir: str | None
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        rounds=_ROUNDS.value,
        test_size=_TEST_SIZE.value,
        data_dir=_DATA_DIR.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Times both precisions, counts correct images, and writes the record."""
    begun = timing.begin(config.output_dir)
    keras.utils.set_random_seed(config.seed)
    cases = [case for name in _PEERNETS for case in _compare(name, config)]
    for case in cases:
        label = f"{case['peernet']}, {case['measure']}"
        timing.print_ratios(label, case["seconds"], "float32")
    timing.write_record(
        "precision",
        cases,
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
    )


def _compare(name, config):
    """Returns the cases of one PeerNet: its training step and its inference."""
    dataset = datasets.load(_PEERNETS[name], config.data_dir)
    recipe = training.recipe(name, dataset.name)
    batch = dataset.train.first(recipe.batch_size)
    mean, variance = datasets.channel_statistics(dataset.train.images)
    networks = {
        precision: models.build(
            name,
            batch.images.shape[1:],
            dataset.num_classes,
            mean=mean,
            variance=variance,
            l2=recipe.l2,
            precision=precision,
            seed=config.seed,
        )
        for precision in models.PRECISIONS
    }
    for network in networks.values():
        training.compile_model(network, recipe, steps_per_epoch=1000)
    step = _times(
        {
            precision: lambda network=network: float(
                network.train_on_batch(batch.images, batch.labels)[0]
            )
            for precision, network in networks.items()
        },
        config.rounds,
        f"{name}, training step",
    )
    published = models.load_pretrained(f"{dataset.name}_{name}")
    graph = peers.draw_peers(
        dataset.train.images, recipe.num_peers, seed=config.seed
    )
    for network in networks.values():
        models.copy_weights(published, network)
        peers.set_peers(network, graph)
    test = dataset.test.first(config.test_size)
    images = test.images[:_BATCH_SIZE]
    inference = _times(
        {
            precision: lambda network=network: network.predict_on_batch(images)
            for precision, network in networks.items()
        },
        config.rounds,
        f"{name}, inference",
    )
    classes = {}
    for precision, network in networks.items():
        classes[precision] = training.predict_classes(network, test.images)
        print(f"{name}, {precision}: classified {len(test)} images", flush=True)
    correct = {
        precision: int(np.sum(found == test.labels))
        for precision, found in classes.items()
    }
    changed = int(np.sum(classes["float32"] != classes["mixed_bfloat16"]))
    return [
        {
            "peernet": name,
            "measure": "training step",
            "batch_size": recipe.batch_size,
            **step,
        },
        {
            "peernet": name,
            "measure": "inference",
            "batch_size": len(images),
            **inference,
            "test_size": len(test),
            "correct": correct,
            "changed": changed,
        },
    ]


def _times(functions, rounds, label):
    """Times functions, by precision, and returns the fields that this fills."""
    seconds = timing.time_interleaved(functions, rounds, label=label)
    return {
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_float32": timing.median_ratios(seconds, "float32"),
    }


COMMAND = app.Command(
    module="benchmarks.precision", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
