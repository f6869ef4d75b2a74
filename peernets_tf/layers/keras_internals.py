"""The only file that uses Keras's private API.

Keras exports no public way to do what these functions do. setup.cfg bounds the
version of Keras, and tests/keras_internals_test.py fails when a newer one
changes what they rely on.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

import keras
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.models.functional import (
    Functional,
    functional_like_constructor,
    operation_fn,
    unpack_singleton,
)

from peernets_tf.layers.compiled import value_of
from peernets_tf.types import Shape, Tensor


def infers_shapes() -> bool:
    """Whether Keras calls a layer only to infer the shape of its outputs."""
    return in_symbolic_scope()


def flatten_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns a model and all its layers, those inside other layers too.

    The public `Model.layers` misses the layers inside other layers.
    """
    return list(model._flatten_layers())


def add_late_weight(
    layer: keras.layers.Layer, name: str, shape: Shape
) -> keras.Variable:
    """Adds a non-trainable weight of zeros to a layer that is already built."""
    # As Keras's own `enable_lora` does.
    layer._tracker.unlock()
    try:
        return layer.add_weight(
            shape=shape, initializer="zeros", trainable=False, name=name
        )
    finally:
        layer._tracker.lock()


def remove_weight(layer: keras.layers.Layer, weight: Any) -> None:
    """Removes a weight from a layer that is already built."""
    layer._tracker.unlock()
    try:
        layer._untrack_variable(weight)
    finally:
        layer._tracker.lock()


class Step(NamedTuple):
    """The name of a model's step, such as `train_step`, and the model."""

    name: str
    model: keras.Model


def running_step() -> Step | None:
    """Returns the step of a model that runs, or is traced, in this thread.

    A layer is not told which model calls it, nor which of the model's functions
    is compiled. The stack knows both: Keras's `fit`, `evaluate` and `predict`
    call the public methods `train_step`, `test_step` and `predict_step`. Where
    steps are nested, the outermost is returned.
    """
    step = None
    for frame, model in _model_frames(sys._getframe(1)):
        name = frame.f_code.co_name
        if name in ("train_step", "test_step", "predict_step"):
            step = Step(name, model)
    return step


def fit_validates(model: keras.Model) -> bool:
    """Whether the running `fit` of a model in this thread validates.

    Keras tells neither layers nor callbacks whether `fit` will validate, so
    this reads its argument from the stack, where Keras has turned
    `validation_split` into `validation_data`. `tf.distribute` strategies run
    steps in threads of their own, whose stacks hold no `fit`.
    """
    return any(
        fit.f_locals.get("validation_data") is not None for fit in _fits(model)
    )


def callbacks_of_fit(model: keras.Model) -> list[keras.callbacks.Callback]:
    """Returns the callbacks of the running `fit` of a model, in their order.

    Keras does not tell a callback which others there are.
    """
    for fit in _fits(model):
        # Keras has put the list of the user's into a `CallbackList`.
        return list(fit.f_locals["callbacks"].callbacks)
    return []


def _fits(model: keras.Model) -> Iterator[FrameType]:
    """Yields the frames of this thread in which a `fit` of the model runs."""
    for frame, owner in _model_frames(sys._getframe(1)):
        # Not the functions with which Keras wraps `fit`.
        if (
            owner is model
            and frame.f_code.co_name == "fit"
            and "validation_data" in frame.f_locals
        ):
            yield frame


def exports_to_onnx() -> bool:
    """Whether Keras traces a model in order to write an ONNX file.

    ONNX knows no functions that XLA must compile, and Keras does not tell
    layers what they are traced for.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "export_onnx":
            return True
        frame = frame.f_back
    return False


def _model_frames(
    stack: FrameType,
) -> Iterator[tuple[FrameType, keras.Model]]:
    """Yields the methods of Keras models on a stack, the innermost first."""
    frame: FrameType | None = stack
    while frame is not None:
        # Only methods: reading the variables of every frame would be slow.
        if "self" in (*frame.f_code.co_varnames[:1], *frame.f_code.co_freevars):
            model = frame.f_locals.get("self")
            if isinstance(model, keras.Model):
                yield frame, model
        frame = frame.f_back


def before_inference(model: keras.Model, check: Callable[[], None]) -> None:
    """Lets a model call a function when `evaluate` or `predict` begins.

    Keras runs Python code of a layer only when it traces the model. So this
    replaces, in this one model, the two methods that begin these loops.
    """
    make_test, make_predict, reset_metrics = (
        model.make_test_function,
        model.make_predict_function,
        model.reset_metrics,
    )
    begins_test = False

    def make_test_function(force: bool = False) -> Any:
        nonlocal begins_test
        begins_test = begins_test or not force
        return make_test(force)

    def reset_metrics_and_check() -> None:
        # `evaluate` does this after the callbacks, which may store peers.
        nonlocal begins_test
        if begins_test:
            begins_test = False
            check()
        reset_metrics()

    def make_predict_function(force: bool = False) -> Any:
        if not force:
            check()
        return make_predict(force)

    model.make_test_function = make_test_function
    model.reset_metrics = reset_metrics_and_check
    model.make_predict_function = make_predict_function


def compile_again(model: keras.Model) -> None:
    """Renews what Keras compiled for a model, which it else keeps for ever."""
    if model.train_function is not None:
        model.make_train_function(force=True)
    if model.test_function is not None:
        model.make_test_function(force=True)
    if model.predict_function is not None:
        model.make_predict_function(force=True)


def current_values(variables: list[keras.Variable]) -> bytes | None:
    """Returns the values of variables, also while a function is traced.

    On JAX there are none while Keras trains or evaluates, or where variables
    are arguments of a compiled function: then returns None.
    """
    values = []
    for variable in variables:
        if variable._value is None:
            return None
        value = value_of(variable._value)
        if value is None:
            return None
        values.append(value.tobytes())
    return b"".join(values)


def is_made_of(tensor: Any, layer: keras.layers.Layer) -> bool:
    """Whether a symbolic tensor was computed with a layer's symbolic output."""
    pending, seen = [tensor], set()
    while pending:
        history = getattr(pending.pop(), "_keras_history", None)
        if history is None or history[:2] in seen:
            continue
        seen.add(history[:2])
        operation, node_index = history[:2]
        if operation is layer:
            return True
        pending += operation._inbound_nodes[node_index].input_tensors
    return False


def count_calls(model: Any, layer: keras.layers.Layer) -> int:
    """Returns how often a functional or sequential model calls a layer.

    Calls inside nested models count. What other layers do cannot be seen.
    """
    if model is layer:
        return 1
    if isinstance(model, keras.Sequential):
        model = model._functional
    return sum(
        count_calls(node.operation, layer) for node in graph_nodes(model)
    )


def functional_graph(model: keras.Model) -> Any:
    """Returns the graph that a functional or sequential model runs.

    None for other models, and where a subclass has a `call` of its own.
    """
    if isinstance(model, keras.Sequential):
        own_call, graph = keras.Sequential.call, model._functional
    else:
        own_call, graph = Functional.call, model
    return graph if type(model).call is own_call else None


def graph_nodes(graph: Any) -> list[Any]:
    """Returns the nodes of a graph, each after those that it depends on.

    A node is one call of an `operation` of a functional model, from its
    `input_tensors` to its `outputs`. Objects other than graphs have no nodes.
    """
    by_depth = getattr(graph, "_nodes_by_depth", {})
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
    ]


def model_before(graph: Any, tensors: Sequence[Any]) -> keras.Model:
    """Returns the part of a graph that computes some of its tensors."""
    return keras.Model(
        graph._inputs_struct, list(tensors), name=f"{graph.name}_before"
    )


def inference_after(
    graph: Any, tensors: Sequence[Any]
) -> Callable[[Sequence[Tensor]], Any]:
    """Returns the part of a graph that follows some of its tensors.

    A `keras.Model` that begins inside another model adds a call to each layer,
    after which the user's `layer.output` is ambiguous. A `keras.Function` does
    not, but its public call knows no `training`.

    Returns:
        Function from the tensors' values to the outputs, in inference mode.
    """
    part = keras.Function(
        list(tensors), graph._outputs_struct, name=f"{graph.name}_after"
    )

    def run(values: Sequence[Tensor]) -> Any:
        outputs = part._run_through_graph(
            values, operation_fn=lambda op: operation_fn(op, training=False)
        )
        # A model that was built with a list of one output does so, too.
        return unpack_singleton(outputs)

    return run


def uncompiled(model: keras.Model) -> keras.Model:
    """Returns a functional model of the same layers that is not compiled.

    `keras.models.clone_model` compiles the copy of a compiled model, and fails
    if Keras cannot serialize its losses.
    """
    kind = type(model)
    make = kind if functional_like_constructor(kind) else keras.Model
    return make(model.input, model.output, name=model.name)
