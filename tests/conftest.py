"""Fixtures: small models, and the real data where a machine has it."""

import atexit
import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# JAX compiles a program once for all processes of these tests, which inherit
# the folder. It shortens the tests on JAX by half.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _cache = tempfile.mkdtemp(prefix="jax-")
    atexit.register(shutil.rmtree, _cache, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import keras
import numpy as np
import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def seeded():
    """Initial weights that are the same in every run."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_dir():
    """The TFDS directory with MNIST and CIFAR-10; skips where there is none."""
    named = os.environ.get("PEERNETS_DATA_DIR")
    path = pathlib.Path(named or _ROOT.parent / "shared" / "data")
    for name in ("mnist", "cifar10"):
        if not (path / name).is_dir():
            pytest.skip(
                f"no {name} in {path}: set PEERNETS_DATA_DIR to a TFDS "
                "directory with both"
            )
    return str(path)


@pytest.fixture
def npz_path(tmp_path_factory):
    """A small data set of three kinds of stripes, as an .npz file."""
    path = str(tmp_path_factory.mktemp("data") / "stripes.npz")
    _write_stripes(path)
    return path


@pytest.fixture(scope="session")
def stripes(tmp_path_factory):
    """The data set of `npz_path`, read once."""
    from peernets_tf import datasets

    path = str(tmp_path_factory.mktemp("stripes") / "stripes.npz")
    _write_stripes(path)
    return datasets.load(path)


def _write_stripes(path):
    rng = np.random.default_rng(1)

    def split(count):
        labels = np.arange(count) % 3
        images = rng.integers(0, 60, (count, 12, 12, 1))
        for image, label in zip(images, labels, strict=True):
            image[4 * label : 4 * label + 4] += 180
        return images.astype(np.uint8), labels

    x_train, y_train = split(96)
    x_test, y_test = split(30)
    np.savez(
        path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test
    )
