"""Times inference with peers: `python -m benchmarks.inference`.

ResNet-32 and PR-ResNet-32, with random weights, take turns at a batch of random
images. PR-ResNet-32 uses one graph of 100 peers, as in the paper's timing, or
the mean of its logits over ten such graphs (`peernets_tf.monte_carlo`).

Memory is the peak resident memory of a fresh process in which PR-ResNet-110
stores one graph of 500 peers, as for CIFAR-100, and classifies a batch.
"""

import dataclasses
import multiprocessing
import time

import keras
import numpy as np
from absl import flags

import peernets_tf
from benchmarks import timing
from peernets_tf import models
from peernets_tf.cli import app, shared_flags

_BASELINE, _PEERNET = "resnet32", "pr_resnet32"
_LARGE_PEERNET = "pr_resnet110"
_IMAGE_SHAPE = (32, 32, 3)
_NUM_GRAPHS = (1, 10)

_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 100, "Images that are classified at once (default: 100).", 1
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers", 100, "Peers in a graph of PR-ResNet-32 (default: 100).", 1
)
_LARGE_NUM_PEERS = flags.DEFINE_integer(
    "large_num_peers",
    500,
    "Peers in the graph of PR-ResNet-110, whose memory is measured (default: "
    "500).",
    1,
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 10, "Batches that each network is timed for (default: 10).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("inference")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    batch_size: int
    num_peers: int
    large_num_peers: int
    rounds: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        batch_size=_BATCH_SIZE.value,
        num_peers=_NUM_PEERS.value,
        large_num_peers=_LARGE_NUM_PEERS.value,
        rounds=_ROUNDS.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Measures times and memory, and writes the record."""
    begun = timing.begin(config.output_dir)
    keras.utils.set_random_seed(config.seed)
    cases = [_times(config), _memory(config)]
    baseline, one_graph, _ = cases[0]["seconds"]
    label = f"batch of {config.batch_size}"
    timing.print_ratios(label, cases[0]["seconds"], baseline, one_graph)
    timing.write_record(
        "inference",
        cases,
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
    )


def _times(config):
    """Returns the case of the networks that are timed in turns."""
    generator = np.random.default_rng(config.seed)
    images = _random_images(generator, config.batch_size)
    peernet = models.build(_PEERNET, _IMAGE_SHAPE, 10)
    graphs = _random_images(generator, max(_NUM_GRAPHS), config.num_peers)
    bank = peernets_tf.encode_peers(peernet, graphs)
    networks = {_BASELINE: models.build(_BASELINE, _IMAGE_SHAPE, 10)}
    for count in _NUM_GRAPHS:
        networks[f"{_PEERNET}, {config.num_peers} x {count} peers"] = (
            peernets_tf.monte_carlo(peernet, bank.first(count))
        )
    seconds = timing.time_interleaved(
        {
            name: lambda network=network: network.predict_on_batch(images)
            for name, network in networks.items()
        },
        config.rounds,
        label=f"batch of {config.batch_size}",
    )
    baseline, one_graph, _ = networks
    return {
        "batch_size": config.batch_size,
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_baseline": timing.median_ratios(seconds, baseline),
        "ratio_to_one_graph": timing.median_ratios(seconds, one_graph),
    }


def _memory(config):
    """Returns the case of the network whose memory is measured."""
    # A forked process would begin with the memory of this one.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, before, peak = pool.apply(_classify_batch, (config,))
    name = f"{_LARGE_PEERNET}, {config.large_num_peers} x 1 peers"
    print(f"{name}: {before:.0f} MiB before, peak {peak:.0f} MiB", flush=True)
    return {
        "batch_size": config.batch_size,
        "seconds": {name: [seconds]},
        "median_seconds": {name: seconds},
        "mib_before": {name: before},
        "peak_mib": {name: peak},
    }


def _classify_batch(config):
    """Returns seconds, and the MiB of this process before and at its peak."""
    keras.utils.set_random_seed(config.seed)
    generator = np.random.default_rng(config.seed)
    model = models.build(_LARGE_PEERNET, _IMAGE_SHAPE, 100)
    graph = _random_images(generator, config.large_num_peers)
    images = _random_images(generator, config.batch_size)
    before = timing.peak_mib()
    peernets_tf.set_peers(model, graph)
    start = time.perf_counter()
    model.predict_on_batch(images)
    return time.perf_counter() - start, before, timing.peak_mib()


def _random_images(generator, *counts):
    return generator.random((*counts, *_IMAGE_SHAPE), dtype="float32")


COMMAND = app.Command(
    module="benchmarks.inference", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
