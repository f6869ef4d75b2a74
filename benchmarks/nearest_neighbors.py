"""Times the search for neighbours: `python -m benchmarks.nearest_neighbors`.

Timed in turns, on unit vectors with nonnegative coordinates, as after a ReLU:

- `chunked_product`: only the matrix product of queries and keys, in the chunks
  of our search; one number of each chunk is kept, so that no time is spent on
  reducing it;
- `whole_product`: `tf.matmul` of all queries and all keys;
- `nearest_neighbors`: `peernets_tf.nearest_neighbors`;
- `top_k`: `tf.math.top_k` on the whole product;
- `faiss`: `faiss.IndexFlatIP`, which adds the keys and searches, if installed.

The others receive vectors of length one; the time of ours includes dividing by
the lengths. Before any timing, all searches must agree on the neighbours.

Memory is how much our search raises the peak resident memory of a fresh process
(Linux, CPU). `first_search` is everything that a process's first search needs,
tracing included; `search` is what it needs after a tiny search of other
vectors.
"""

import dataclasses
import multiprocessing
import os

# Set before anything loads OpenMP. Otherwise faiss's waiting threads spin and
# take the cores from everything that is timed: on two cores, one of which
# another process used, faiss itself was six times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import peernets_tf
from benchmarks import timing
from peernets_tf import layers
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError
from peernets_tf.layers import neighbor_choice

try:
    import faiss
except ImportError:
    faiss = None

# The searches of a training step and of inference: queries, keys, channels and
# neighbours. In training neighbour dropout needs a longer list.
_SHORTLIST = neighbor_choice.shortlist_size(10, 0.2)
_USES = {
    (4096, 4096, 64, _SHORTLIST): "training, PR-ResNet-32, last layer",
    (25088, 25088, 6, _SHORTLIST): "training, PR-LeNet-5, first layer",
    (16384, 16384, 32, _SHORTLIST): "training, PR-ResNet-32, first layer",
    (6400, 6400, 64, 10): "inference, PR-ResNet-32, last layer",
    (25088, 39200, 6, 10): "inference, PR-LeNet-5, first layer",
    (25600, 25600, 32, 10): "inference, PR-ResNet-32, first layer",
}
_SEARCHES = flags.DEFINE_list(
    "searches",
    ["x".join(map(str, search)) for search in _USES],
    "Searches to time, each as QUERIESxKEYSxCHANNELSxNEIGHBOURS, separated by "
    "commas (default: those of a training step and of inference).",
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 10, "Times that each function is timed (default: 10).", 1
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("nearest_neighbors")

# The largest difference between the similarities of two searches' neighbours.
_TOLERANCE = 1e-5
# Queries and keys of the search before the memory is measured. A search of
# fewer keys takes longer chunks and would leave more memory than ours needs.
_TINY = (16, 4096)


class DisagreementError(Exception):
    """Two searches found different neighbours."""


@flags.validator("searches", "must be like 4096x4096x64x20,6400x6400x64x10")
def _searches_are_valid(searches):
    return searches and all(
        len(numbers) == 4 and all(n.isdecimal() and int(n) > 0 for n in numbers)
        for numbers in (search.split("x") for search in searches)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    searches: tuple
    rounds: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    searches = tuple(tuple(map(int, s.split("x"))) for s in _SEARCHES.value)
    for search in searches:
        if search[3] > search[1]:
            raise UserError(
                "--searches must have at most as many neighbours as keys. "
                f"Received: {_text(search)}"
            )
    return _Config(
        searches=searches,
        rounds=_ROUNDS.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Measures memory and times, and writes the record."""
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            "this benchmark needs KERAS_BACKEND=tensorflow. Received: "
            f"{keras.backend.backend()}"
        )
    begun = timing.begin(config.output_dir)
    # Before anything large: a new process inherits the peak of this one.
    memory = [_memory(search, config.seed) for search in config.searches]
    cases = [
        {**_times(search, config), "memory_mib": mib}
        for search, mib in zip(config.searches, memory, strict=True)
    ]
    for case in cases:
        _print_table(case)
    timing.write_record(
        "nearest_neighbors",
        cases,
        rounds=config.rounds,
        begun=begun,
        provenance=provenance,
        versions={"faiss": faiss.__version__} if faiss else None,
    )


def _text(search):
    return "x".join(map(str, search))


def _times(search, config):
    """Returns the case of one search, without its memory."""
    *size, k = search
    label = _text(search)
    queries, keys = _random_vectors(size, config.seed)
    searches = _searches(queries, keys, k)
    difference = _largest_difference(queries, keys, searches)
    print(f"{label}: all agree to {difference:.1e} or better", flush=True)
    seconds = timing.time_interleaved(
        {**_products(queries, keys), **searches}, config.rounds, label=label
    )
    return {
        "used_in": _USES.get(search, ""),
        "num_queries": size[0],
        "num_keys": size[1],
        "num_channels": size[2],
        "k": k,
        "chunk_size": layers.chunk_size(*size[1:]),
        "largest_difference": difference,
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_chunked_product": timing.median_ratios(
            seconds, "chunked_product"
        ),
        "ratio_to_whole_product": timing.median_ratios(
            seconds, "whole_product"
        ),
        "ratio_to_top_k": timing.median_ratios(seconds, "top_k"),
    }


def _random_vectors(size, seed):
    """Returns queries and keys of length one (or zero) as NumPy arrays."""
    num_queries, num_keys, num_channels = size
    generator = np.random.default_rng(seed)

    def unit_vectors(count):
        vectors = generator.standard_normal(
            (count, num_channels), dtype="float32"
        )
        vectors = np.maximum(vectors, 0)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, 1e-6)

    return unit_vectors(num_queries), unit_vectors(num_keys)


def _products(queries, keys):
    """Returns the bare products, functions without arguments, by name."""
    queries, keys = tf.constant(queries), tf.constant(keys)
    chunk_size = layers.chunk_size(*keys.shape)

    @tf.function(autograph=False)
    def chunked_product(queries, keys):
        padding = -queries.shape[0] % chunk_size
        chunks = tf.reshape(
            tf.pad(queries, [[0, padding], [0, 0]]),
            (-1, chunk_size, queries.shape[1]),
        )
        transposed_keys = tf.transpose(keys)
        return tf.map_fn(
            lambda chunk: tf.matmul(chunk, transposed_keys)[0, 0], chunks
        )

    @tf.function(autograph=False)
    def whole_product(queries, keys):
        return tf.matmul(queries, keys, transpose_b=True)

    return {
        "chunked_product": lambda: _wait(chunked_product(queries, keys)),
        "whole_product": lambda: _wait(whole_product(queries, keys)),
    }


def _searches(queries, keys, k):
    """Returns the searches, functions to indices `(Q, k)`, by name."""
    query_tensor, key_tensor = tf.constant(queries), tf.constant(keys)

    @tf.function(autograph=False)
    def top_k(queries, keys):
        product = tf.matmul(queries, keys, transpose_b=True)
        return tf.math.top_k(product, k).indices

    def search_faiss():
        index = faiss.IndexFlatIP(keys.shape[1])
        index.add(keys)
        return index.search(queries, k)[1]

    searches = {
        "nearest_neighbors": lambda: _wait(
            peernets_tf.nearest_neighbors(query_tensor, key_tensor, k)
        ),
        "top_k": lambda: _wait(top_k(query_tensor, key_tensor)),
    }
    if faiss:
        faiss.omp_set_num_threads(os.cpu_count())
        searches["faiss"] = search_faiss
    else:
        print("faiss is not installed and is left out: pip install faiss-cpu")
    return searches


def _wait(tensor):
    """Returns a tensor when its device has computed it."""
    tf.test.experimental.sync_devices()
    return tensor


def _largest_difference(queries, keys, searches):
    """Compares the similarities of the neighbours, since indices may tie.

    Returns:
        float, the largest difference from those of `top_k`.

    Raises:
        DisagreementError: if a search names a key twice, or the difference is
            above the tolerance.
    """
    similarities = {}
    for name, function in searches.items():
        indices = np.sort(np.asarray(function()), axis=1)
        if np.any(indices[:, 1:] == indices[:, :-1]):
            raise DisagreementError(f"{name} names a neighbour twice")
        products = np.einsum(
            "qc,qkc->qk", queries, keys[indices], dtype="float64"
        )
        similarities[name] = np.sort(products, axis=1)
    differences = {
        name: float(np.max(np.abs(values - similarities["top_k"])))
        for name, values in similarities.items()
    }
    worst = max(differences, key=differences.get)
    if not differences[worst] <= _TOLERANCE:
        raise DisagreementError(
            f"{worst} and top_k find neighbours whose similarities differ by "
            f"{differences[worst]:.1e}"
        )
    return differences[worst]


def _memory(search, seed):
    """Returns the MiB that our search adds to a process's peak, by name."""
    *size, k = search
    mib = {}
    for name, warm_up in (("first_search", False), ("search", True)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            mib[name] = pool.apply(_peak_growth, (size, k, seed, warm_up))
    print(
        f"{_text(search)}: our search adds {mib['search']:.1f} MiB, a "
        f"process's first {mib['first_search']:.1f} MiB, where the whole "
        f"product is {4 * size[0] * size[1] / 2**20:.1f} MiB",
        flush=True,
    )
    return mib


def _peak_growth(size, k, seed, warm_up):
    """Searches in this process, and returns the growth of its peak in MiB."""

    def vectors(size):
        return [tf.constant(array) for array in _random_vectors(size, seed)]

    queries, keys = vectors(size)
    if warm_up:
        peernets_tf.nearest_neighbors(*vectors((*_TINY, size[2])), k)
    before = timing.peak_mib()
    for _ in range(3):
        peernets_tf.nearest_neighbors(queries, keys, k)
    return timing.peak_mib() - before


def _print_table(case):
    sizes = ("num_queries", "num_keys", "num_channels", "k")
    bases = [name for name in case["seconds"] if name != "nearest_neighbors"]
    label = _text(case[size] for size in sizes)
    timing.print_ratios(label, case["seconds"], *bases)


COMMAND = app.Command(
    module="benchmarks.nearest_neighbors", parse=_parse, run=benchmark
)

if __name__ == "__main__":
    app.main(COMMAND)
