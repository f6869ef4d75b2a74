"""Times the attention of Peer Regularization: `python -m benchmarks.attention`.

Gather, logits, softmax and weighted mean of 16,384 pixels with K = 10
neighbours among 16,384 peer pixels of 32 channels, forward alone and forward
with its gradient, plain and compiled with XLA. Neither is in a larger network
that is compiled with XLA.
"""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import timing
from peernets_tf.cli import app, shared_flags
from peernets_tf.layers import attention as attentions

_NUM_PIXELS, _CHANNELS, _NUM_NEIGHBORS = 16_384, 32, 10
_SETTINGS = {"attention": "gat", "negative_slope": 0.2}

_ROUNDS = flags.DEFINE_integer(
    "rounds", 30, "Calls of each function that are timed (default: 30).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("attention")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    rounds: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        rounds=_ROUNDS.value, seed=_SEED.value, output_dir=_OUTPUT_DIR.value
    )


def benchmark(config, provenance):
    """Times the functions and writes the record."""
    begun = timing.begin(config.output_dir)
    keras.utils.set_random_seed(config.seed)
    arguments = _arguments(config.seed)
    attends = {
        "plain": functools.partial(attentions.attend, **_SETTINGS),
        "compiled": attentions.compiled_attend(**_SETTINGS),
    }
    cases = []
    for name, make in (("forward", _forward), ("with gradient", _gradient)):
        seconds = timing.time_interleaved(
            {
                kind: functools.partial(_wait_for, make(attend), arguments)
                for kind, attend in attends.items()
            },
            config.rounds,
            label=name,
        )
        cases.append(
            {
                "pass": name,
                "pixels": _NUM_PIXELS,
                "channels": _CHANNELS,
                "num_neighbors": _NUM_NEIGHBORS,
                "seconds": seconds,
                "median_seconds": timing.median_seconds(seconds),
                "ratio_to_compiled": timing.median_ratios(seconds, "compiled"),
            }
        )
    for case in cases:
        timing.print_ratios(case["pass"], case["seconds"], "compiled")
    timing.write_record(
        "attention",
        cases,
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
    )


def _arguments(seed):
    """Returns random arguments of `attend`."""
    rng = np.random.default_rng(seed)
    chosen = (_NUM_PIXELS, _NUM_NEIGHBORS)
    pixels = (_NUM_PIXELS, _CHANNELS)
    return [
        tf.constant(rng.normal(size=pixels), "float32"),
        tf.constant(rng.normal(size=pixels), "float32"),
        tf.constant(rng.integers(0, _NUM_PIXELS, chosen), "int32"),
        tf.constant(2.0 * rng.integers(0, 2, chosen), "float32"),
        tf.constant(rng.normal(size=_CHANNELS), "float32"),
        tf.constant(rng.normal(size=_CHANNELS), "float32"),
        tf.constant(0.1),
    ]


def _forward(attend):
    return tf.function(lambda *arguments: attend(*arguments)[0])


def _gradient(attend):
    @tf.function
    def gradient(*arguments):
        floating = [x for x in arguments if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floating)
            loss = tf.reduce_sum(attend(*arguments)[0] ** 2)
        return tape.gradient(loss, floating)

    return gradient


def _wait_for(function, arguments):
    for result in tf.nest.flatten(function(*arguments)):
        result.numpy()


COMMAND = app.Command(
    module="benchmarks.attention", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
