"""Times the layer as its sizes grow: `python -m benchmarks.scaling`.

One PeerRegularization layer with stored peers takes a batch of random feature
maps, in inference. One size at a time differs from the reference: peers N,
neighbours K, height and width, or channels C. The last case has the sizes of a
layer in a network for ImageNet. All layers of a case take turns.
"""

import dataclasses

import keras
import numpy as np
from absl import flags
from keras import ops

from benchmarks import timing
from peernets_tf import PeerRegularization, set_peers
from peernets_tf.attacks import autodiff
from peernets_tf.cli import app, shared_flags

_ROUNDS = flags.DEFINE_integer(
    "rounds", 5, "Times that each layer is timed (default: 5).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("scaling")

_BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True)
class _Size:
    """The reference: half the resolution of CIFAR-10, the paper's N and K."""

    peers: int = 50
    neighbors: int = 10
    side: int = 16
    channels: int = 32


_SWEEPS = {
    "peers": (10, 50, 100, 500, 1000),
    "neighbors": (1, 10, 30, 100),
    "side": (8, 16, 32, 56),
    "channels": (8, 32, 128, 256),
}
# After the third of a ResNet's four stages, where maps have 14 x 14 pixels.
_THIRD_STAGE = {"side": 14, "channels": 256}
_CASES = {
    **{
        swept: {
            f"{swept} = {value}": _Size(**{swept: value}) for value in values
        }
        for swept, values in _SWEEPS.items()
    },
    "a network for ImageNet": {
        "reference": _Size(),
        **{
            f"14 x 14 x 256, {peers:,} peers": _Size(
                peers=peers, **_THIRD_STAGE
            )
            for peers in (50, 1000, 5000)
        },
    },
}


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
    """Times the sweeps and writes the record."""
    begun = timing.begin(config.output_dir)
    keras.utils.set_random_seed(config.seed)
    cases = [_times(name, config) for name in _CASES]
    timing.write_record(
        "scaling",
        cases,
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
        warm_up_rounds=1,
    )


def _times(swept, config):
    """Returns the case of layers of several sizes."""
    sizes = _CASES[swept]
    layers = {name: _layer(size, config.seed) for name, size in sizes.items()}
    seconds = timing.time_interleaved(
        layers, config.rounds, label=swept, warm_up_rounds=1
    )
    (reference,) = (n for n, size in sizes.items() if size == _Size())
    timing.print_ratios(swept, seconds, reference)
    return {
        "swept": swept,
        "batch_size": _BATCH_SIZE,
        "reference": dataclasses.asdict(_Size()),
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_reference": timing.median_ratios(seconds, reference),
    }


def _layer(size, seed):
    """Returns a function that calls a layer of a size on a batch."""
    rng = np.random.default_rng(seed)

    def feature_maps(count):
        # Nonnegative, as after a ReLU.
        shape = (count, size.side, size.side, size.channels)
        return rng.random(shape, dtype="float32")

    inputs = keras.Input((size.side, size.side, size.channels))
    layer = PeerRegularization(num_neighbors=size.neighbors)
    model = keras.Model(inputs, layer(inputs))
    set_peers(model, feature_maps(size.peers))
    batch = ops.convert_to_tensor(feature_maps(_BATCH_SIZE))
    call = autodiff.compiled(lambda images: model(images, training=False))
    return lambda: ops.convert_to_numpy(call(batch))


COMMAND = app.Command(module="benchmarks.scaling", parse=_parse, run=benchmark)

if __name__ == "__main__":
    app.main(COMMAND)
