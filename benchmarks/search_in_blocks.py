"""Searches a data set's features: `python -m benchmarks.search_in_blocks`.

The keys are the pixels of CIFAR-10's training images at the first Peer
Regularization layer of the published PR-ResNet-32, in a file of a temporary
folder. The queries are the pixels of some test images there.
`peernets_tf.nearest_neighbors_in_blocks` reads the file in two ways:

- `blocks`: a generator maps one block of the file after the other;
- `memmap`: one `numpy.memmap` of the whole file. The pages that were read stay
  resident until the system needs their memory.

Each search runs in a process of its own: its time is that of the first search,
with all compilation, and its memory is the peak resident memory of the whole
process, which holds no data set.
"""

import dataclasses
import multiprocessing
import os
import tempfile
import time

import keras
import numpy as np
from absl import flags

import peernets_tf
from benchmarks import timing
from peernets_tf import datasets, models, peers
from peernets_tf.cli import app, shared_flags

_PRESET = "cifar10_pr_resnet32"
_CHUNK_IMAGES = 500
_KEYS, _QUERIES = "keys.npy", "queries.npy"

_DATA_DIR = shared_flags.define_data_dir()
_NUM_IMAGES = flags.DEFINE_multi_integer(
    "num_images",
    [5_000, 50_000],
    "Training images whose pixels are keys; may be repeated (default: 5,000 "
    "and all 50,000).",
    1,
)
_QUERY_IMAGES = flags.DEFINE_integer(
    "query_images",
    2,
    "Test images whose pixels are queries (default: 2).",
    1,
)
_K = flags.DEFINE_integer("k", 10, "Neighbours per query (default: 10).", 1)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 2, "Processes that are measured for each row (default: 2).", 1
)
_OUTPUT_DIR = timing.define_output_dir("search_in_blocks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    data_dir: str | None
    num_images: tuple
    query_images: int
    k: int
    rounds: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        data_dir=_DATA_DIR.value,
        num_images=tuple(_NUM_IMAGES.value),
        query_images=_QUERY_IMAGES.value,
        k=_K.value,
        rounds=_ROUNDS.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Writes the features, measures the searches and writes the record."""
    begun = timing.begin(config.output_dir)
    with tempfile.TemporaryDirectory() as folder:
        images_shape = _in_new_process(_write_features, folder, config)
        cases = [
            _case(folder, count, images_shape, config)
            for count in config.num_images
        ]
    timing.write_record(
        "search_in_blocks",
        cases,
        rounds=config.rounds,
        warm_up_rounds=0,
        begun=begun,
        provenance=provenance,
    )


def _in_new_process(function, *arguments):
    # A forked process would begin with the memory of this one.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _write_features(folder, config):
    """Writes the features of keys and queries; returns the shape of an image's.

    Only one chunk of features is in memory at a time.
    """
    dataset = datasets.load("cifar10", config.data_dir)
    model = models.load_pretrained(_PRESET)
    layer = peers.peer_layers(model)[0]
    front = keras.Model(model.inputs, layer.input)
    count = max(config.num_images)
    shape = layer.input.shape[1:]
    _encode(front, dataset.test.first(config.query_images), folder, _QUERIES)
    _encode(front, dataset.train.first(count), folder, _KEYS)
    return shape


def _encode(front, split, folder, name):
    """Writes the features of a split's images, block by block."""
    count = len(split)
    features = np.lib.format.open_memmap(
        os.path.join(folder, name),
        mode="w+",
        dtype="float32",
        shape=(count, *front.output_shape[1:]),
    )
    for start in range(0, count, _CHUNK_IMAGES):
        images = split.images[start : start + _CHUNK_IMAGES]
        features[start : start + len(images)] = front.predict_on_batch(images)
        done = start + len(images)
        if done % 5_000 == 0 or done == count:
            print(f"{name}: {done:,}/{count:,} images", flush=True)


def _case(folder, count, shape, config):
    """Returns the case of a number of training images."""
    names = list(_SOURCES)
    found = {name: [] for name in names}
    for i in range(config.rounds):
        for name in names:
            measured = _in_new_process(_measure, folder, name, count, config.k)
            found[name].append(measured)
            print(
                f"{count:,} images, {name}: round {i + 1}/{config.rounds}: "
                "{:.1f} s, {:.1f} s of CPU time, {:.0f} MiB before, peak "
                "{:.0f} MiB".format(*measured),
                flush=True,
            )
    seconds = {name: [m[0] for m in found[name]] for name in names}
    cpu_seconds = {name: [m[1] for m in found[name]] for name in names}
    num_pixels, num_channels = shape[0] * shape[1], shape[2]
    return {
        "network": _PRESET,
        "num_images": count,
        "num_keys": count * num_pixels,
        "num_channels": num_channels,
        "query_images": config.query_images,
        "num_queries": config.query_images * num_pixels,
        "k": config.k,
        "features_mib": count * num_pixels * num_channels * 4 / 2**20,
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "median_cpu_seconds": timing.median_seconds(cpu_seconds),
        "mib_before": {n: max(m[2] for m in found[n]) for n in names},
        "peak_mib": {n: max(m[3] for m in found[n]) for n in names},
    }


def _measure(folder, source, count, k):
    """Returns seconds, CPU seconds, MiB before the search and at its peak."""
    queries = np.load(os.path.join(folder, _QUERIES))
    queries = queries.reshape(-1, queries.shape[-1])
    keys = _SOURCES[source](os.path.join(folder, _KEYS), count)
    before = timing.peak_mib()
    start, cpu_start = time.perf_counter(), time.process_time()
    peernets_tf.nearest_neighbors_in_blocks(queries, keys, k)
    return (
        time.perf_counter() - start,
        time.process_time() - cpu_start,
        before,
        timing.peak_mib(),
    )


def _memmap(path, count):
    """Returns the keys `(N, C)` of the first images, mapped from the file."""
    features = np.load(path, mmap_mode="r")[:count]
    return features.reshape(-1, features.shape[-1])


def _blocks(path, count):
    """Yields the keys of the first images, of some at a time."""
    for start in range(0, count, _CHUNK_IMAGES):
        # A new mapping, so that the pages of the last one are given back.
        features = np.load(path, mmap_mode="r")
        block = features[start : min(start + _CHUNK_IMAGES, count)]
        yield block.reshape(-1, block.shape[-1])


_SOURCES = {"blocks": _blocks, "memmap": _memmap}

COMMAND = app.Command(
    module="benchmarks.search_in_blocks", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
