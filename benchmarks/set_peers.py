"""Times `set_peers` and measures its memory: `python -m benchmarks.set_peers`.

PR-ResNet-32 takes one graph of random images, 500 as in the paper's CIFAR-100
experiments. Each round runs in a process of its own: its time is that of the
first call, with all compilation, and its memory is the peak resident memory of
the whole process, which holds no data set.
"""

import dataclasses
import multiprocessing
import time

import keras
import numpy as np
from absl import flags

from benchmarks import timing
from peernets_tf import models, peers
from peernets_tf.cli import app, shared_flags

_NETWORK, _IMAGE_SHAPE, _NUM_CLASSES = "pr_resnet32", (32, 32, 3), 100

_NUM_PEERS = flags.DEFINE_integer(
    "num_peers", 500, "Images in the graph (default: 500).", 1
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 2, "Processes that are measured (default: 2).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("set_peers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    num_peers: int
    rounds: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        num_peers=_NUM_PEERS.value,
        rounds=_ROUNDS.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Measures the rounds and writes the record."""
    begun = timing.begin(config.output_dir)
    # A forked process would begin with the memory of this one.
    context = multiprocessing.get_context("spawn")
    found = []
    for i in range(config.rounds):
        with context.Pool(1) as pool:
            found.append(pool.apply(_measure, (config.num_peers, config.seed)))
        print(
            "round {}/{}: {:.1f} s, {:.0f} MiB before, peak {:.0f} MiB".format(
                i + 1, config.rounds, *found[-1]
            ),
            flush=True,
        )
    times, before, peak = (list(values) for values in zip(*found, strict=True))
    seconds = {"set_peers": times}
    case = {
        "network": _NETWORK,
        "num_peers": config.num_peers,
        "image_shape": list(_IMAGE_SHAPE),
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "mib_before": {"set_peers": max(before)},
        "peak_mib": {"set_peers": max(peak)},
    }
    timing.write_record(
        "set_peers",
        [case],
        rounds=config.rounds,
        warm_up_rounds=0,
        begun=begun,
        provenance=provenance,
    )


def _measure(num_peers, seed):
    """Returns seconds, and the MiB of this process before and at its peak."""
    keras.utils.set_random_seed(seed)
    model = models.build(_NETWORK, _IMAGE_SHAPE, _NUM_CLASSES)
    images = np.random.default_rng(seed).random(
        (num_peers, *_IMAGE_SHAPE), dtype="float32"
    )
    before = timing.peak_mib()
    start = time.perf_counter()
    peers.set_peers(model, images)
    return time.perf_counter() - start, before, timing.peak_mib()


COMMAND = app.Command(
    module="benchmarks.set_peers", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
