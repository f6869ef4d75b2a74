"""Canaries: fail when a new Keras changes its private API that we rely on."""

import importlib.metadata
import pathlib
import re

import keras
import pytest

from peernets_tf.layers import keras_internals

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_setup_cfg_bounds_keras_to_the_version_tried():
    found = re.search(
        r"^\s*keras>=(\d+\.\d+),<(\d+\.\d+)$",
        (ROOT / "setup.cfg").read_text(),
        re.MULTILINE,
    )
    assert found, "setup.cfg bounds Keras from below and above"
    low, high = (tuple(map(int, v.split("."))) for v in found.groups())
    version = importlib.metadata.version("keras")
    assert low <= tuple(map(int, version.split(".")[:2])) < high


def test_no_other_file_uses_private_api():
    allowed = ROOT / "peernets_tf/layers/keras_internals.py"
    private = re.compile(
        r"keras\.src|_flatten_layers|_tracker|_untrack_variable"
    )
    for package in ("peernets_tf", "madry_challenge"):
        for path in (ROOT / package).rglob("*.py"):
            if path != allowed:
                assert not private.search(path.read_text()), path


def test_tells_shape_inference_from_a_call():
    seen = []

    class Spy(keras.layers.Layer):
        def call(self, inputs):
            seen.append(keras_internals.infers_shapes())
            return inputs

    Spy()(keras.Input((2,)))
    assert seen == [True]
    Spy()(keras.ops.ones((1, 2)))
    assert seen == [True, False]


class Outer(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(1)

    def call(self, inputs):
        return self.inner(inputs)


def test_finds_layers_inside_layers():
    outer = Outer()
    model = keras.Sequential([keras.Input((2,)), outer])
    found = keras_internals.flatten_layers(model)
    assert model in found
    assert outer.inner in found


def test_adds_and_removes_a_weight_after_build():
    layer = keras.layers.Dense(1)
    layer.build((None, 2))
    weight = keras_internals.add_late_weight(layer, "late", (3,))
    assert weight.path.endswith("/late")
    assert [w.name for w in layer.weights] == ["kernel", "bias", "late"]
    assert not weight.trainable
    keras_internals.remove_weight(layer, weight)
    assert [w.name for w in layer.weights] == ["kernel", "bias"]
    # A built layer stays closed to weights that are added by mistake.
    with pytest.raises(ValueError, match="cannot add new elements"):
        layer.add_weight(shape=(1,), name="other")
