"""Canaries: fail when a new Keras changes its private API that we rely on."""

import importlib.metadata
import pathlib
import re

import keras
import numpy as np
import pytest

from peernets_tf.layers import keras_internals
from peernets_tf.layers.compiled import compiled

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
        r"keras\.src|_flatten_layers|_tracker|_untrack_variable|_getframe"
        r"|_keras_history|_inbound_nodes|_nodes_by_depth|_functional\b"
        r"|_current_frames|\b\w+\._value\b"
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


class Watcher(keras.layers.Layer):
    """Notes what the stack says whenever Python runs the layer."""

    def __init__(self, seen):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        # A list of the layer's own would be state, which a built layer locks.
        self.note = seen.append

    def call(self, inputs):
        if not keras_internals.infers_shapes():
            step = keras_internals.running_step()
            validates = step and keras_internals.fit_validates(step.model)
            self.note((step, validates))
        return self.dense(inputs)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_finds_the_running_step_and_whether_fit_validates(run_eagerly):
    noted = []
    inner = keras.Sequential([keras.Input((2,)), Watcher(noted)])
    model = keras.Sequential([keras.Input((2,)), inner])
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    x, y = keras.ops.ones((4, 2)), keras.ops.ones((4, 1))

    def seen():
        found = set(noted)
        noted.clear()
        return found

    inner(x)
    assert seen() == {(None, None)}
    model.fit(x, y, verbose=0)
    assert seen() == {(("train_step", model), False)}
    model.predict(x, verbose=0)
    assert seen() == {(("predict_step", model), False)}
    model.make_train_function(force=True)
    model.fit(x, y, validation_split=0.5, verbose=0)
    assert seen() == {
        (("train_step", model), True),
        (("test_step", model), True),
    }


def test_compiles_again_what_was_compiled():
    noted = []
    model = keras.Sequential([keras.Input((2,)), Watcher(noted)])
    keras_internals.compile_again(model)
    assert model.train_function is None and model.test_function is None
    model.compile("sgd", "mse")
    x, y = keras.ops.ones((4, 2)), keras.ops.ones((4, 1))

    def use():
        noted.clear()
        model.fit(x, y, verbose=0)
        model.evaluate(x, y, verbose=0)
        model.predict(x, verbose=0)
        return {step.name for step, _ in noted}

    assert use() == {"train_step", "test_step", "predict_step"}
    assert use() == set()
    keras_internals.compile_again(model)
    assert use() == {"train_step", "test_step", "predict_step"}


def test_checks_before_each_inference_and_not_in_training():
    checks = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = keras.ops.ones((4, 2)), keras.ops.ones((4, 1))
    keras_internals.before_inference(model, lambda: checks.append(1))

    def count(use, *arguments, **options):
        checks.clear()
        use(*arguments, **options)
        return len(checks)

    for _ in range(2):
        assert count(model.evaluate, x, y, verbose=0) == 1
        assert count(model.predict, x, verbose=0) == 1
        assert count(model.test_on_batch, x, y) == 1
        assert count(model.predict_on_batch, x) == 1
        assert count(model.train_on_batch, x, y) == 0
        assert count(model.fit, x, y, epochs=2, verbose=0) == 0
        assert (
            count(model.fit, x, y, validation_split=0.5, epochs=3, verbose=0)
            == 3
        )
        assert count(keras_internals.compile_again, model) == 0


def test_checks_after_the_callbacks_of_an_evaluation():
    order = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    keras_internals.before_inference(model, lambda: order.append("check"))
    callback = keras.callbacks.LambdaCallback()
    callback.on_test_begin = lambda logs: order.append("begin")
    callback.on_test_batch_begin = lambda batch, logs: order.append("batch")
    x, y = keras.ops.ones((4, 2)), keras.ops.ones((4, 1))
    model.evaluate(x, y, callbacks=[callback], verbose=0)
    assert order == ["begin", "check", "batch"]


def test_reads_values_while_a_function_is_traced():
    variable = keras.Variable([1.0, 2.0])
    found = []

    def read(_):
        found.append(keras_internals.current_values([variable]))

    compiled(read)(keras.ops.ones(()))
    read(None)
    assert found == [np.array([1, 2], "float32").tobytes()] * 2


def test_lists_the_callbacks_of_fit():
    found = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: found.append(
            keras_internals.callbacks_of_fit(model)
        )
    )
    x, y = keras.ops.ones((4, 2)), keras.ops.ones((4, 1))
    model.fit(x, y, callbacks=[callback], verbose=0)
    assert found[0][0] is callback
    assert keras_internals.callbacks_of_fit(model) == []


def test_knows_what_a_tensor_is_made_of():
    first, second = keras.layers.Dense(2), keras.layers.Dense(2)
    inputs = keras.Input((2,))
    middle = first(inputs)
    outputs = second(middle) + inputs
    assert keras_internals.is_made_of(outputs, first)
    assert not keras_internals.is_made_of(middle, second)
    assert not keras_internals.is_made_of(keras.ops.ones((1, 2)), first)


def test_counts_the_calls_of_a_layer():
    layer, other = keras.layers.Dense(2), keras.layers.Dense(2)
    inputs = keras.Input((2,))
    inner = keras.Sequential([inputs, layer])
    model = keras.Model(inputs, inner(layer(inputs)) + inner(inputs))
    other(inputs)
    assert keras_internals.count_calls(model, layer) == 3
    assert keras_internals.count_calls(inner, layer) == 1
    assert keras_internals.count_calls(model, other) == 0


def test_onnx_export_is_seen_by_the_layers_it_traces(monkeypatch):
    from keras.src.export import onnx

    found = []

    class Asking(keras.layers.Layer):
        def call(self, inputs):
            found.append(keras_internals.exports_to_onnx())
            return inputs

    model = keras.Sequential([keras.Input((2,)), Asking()])
    found.clear()
    model(np.zeros((1, 2)))
    assert found == [False]

    def stop(*arguments, **options):
        raise InterruptedError

    monkeypatch.setattr(onnx, "patch_tf2onnx", stop)
    with pytest.raises(InterruptedError):
        onnx.export_onnx(model, "unused.onnx", verbose=False)
    assert found[1:] and all(found[1:])
