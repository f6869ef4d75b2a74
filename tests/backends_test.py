"""The JAX backend gives what the TensorFlow backend gives.

Each backend needs its own process, because Keras chooses one at import. They
compute in float64, with biases that leave no pixel a single channel: where two
cosines are equal up to rounding, each backend may take another neighbour.
"""

import importlib.util

import numpy as np
import pytest
from commands import error_line, run_command, run_process, run_python

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed"
)

# Logits in inference, with Monte Carlo, and in training without dropouts, and
# the gradient of the training loss with respect to all weights.
COMPUTE = """
import sys
import keras
import numpy as np
from keras import ops
from peernets_tf import models, monte_carlo, set_peers
from peernets_tf.peers import peer_layers

keras.config.set_floatx("float64")
keras.utils.set_random_seed(0)
folder = sys.argv[1]


def compute(name, shape):
    rng = np.random.default_rng(0)
    images = rng.random((4, *shape))
    graphs = rng.random((2, 3, *shape))
    labels = np.arange(4)
    model = models.build(name, shape, 10, l2=1e-3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.use_bias:
            layer.bias.assign(ops.ones(layer.bias.shape))
    weights = f"{folder}/{name}.weights.h5"
    if keras.backend.backend() == "tensorflow":
        model.save_weights(weights)
    model.load_weights(weights)
    for layer in peer_layers(model):
        layer.neighbor_dropout = layer.attention_dropout = 0.0
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = {"training": model(images, training=True)}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_function(labels, model(images, training=True))
        variables = [v.value for v in model.trainable_variables]
        gradients = tape.gradient(loss, variables)
    else:
        import jax

        def compute_loss(trainable):
            logits, _ = model.stateless_call(
                trainable,
                [v.value for v in model.non_trainable_variables],
                images,
                training=True,
            )
            return loss_function(labels, logits)

        gradients = jax.jit(jax.grad(compute_loss))(
            [v.value for v in model.trainable_variables]
        )
    for i, gradient in enumerate(gradients):
        found[f"gradient {i}"] = gradient
    model.load_weights(weights)
    set_peers(model, graphs)
    found["inference"] = model(images, training=False)
    found["monte carlo"] = monte_carlo(model).predict(images, verbose=0)
    path = f"{folder}/{name}_{keras.backend.backend()}.npz"
    np.savez(path, **{k: ops.convert_to_numpy(v) for k, v in found.items()})


compute("pr_lenet5", (28, 28, 1))
compute("pr_resnet32", (32, 32, 3))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What each backend computes, in two processes for all networks."""
    folder = tmp_path_factory.mktemp("backends")
    for backend in ("tensorflow", "jax"):
        run_python(COMPUTE, folder, KERAS_BACKEND=backend, JAX_ENABLE_X64="1")
    return folder


@pytest.mark.parametrize("name", ["pr_lenet5", "pr_resnet32"])
def test_logits_and_gradients_agree(folder, name):
    ours, theirs = (
        np.load(folder / f"{name}_{backend}.npz")
        for backend in ("tensorflow", "jax")
    )
    assert len(theirs.files) > 10
    for key in ours.files:
        np.testing.assert_allclose(
            theirs[key], ours[key], atol=1e-4, rtol=1e-6, err_msg=key
        )


def test_a_users_model_on_jax_without_tensorflow():
    """Fit before any peers are stored, then inference with one and more."""
    run_python(
        """
import sys
sys.modules["tensorflow"] = None
import keras
import numpy as np
import peernets_tf.train, peernets_tf.evaluation
from peernets_tf import PeerRegularization, draw_peers, monte_carlo, set_peers

images = np.random.default_rng(0).random((24, 8, 8, 3)).astype("float32")
inputs = keras.Input((8, 8, 3))
x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
x = PeerRegularization()(x)
x = keras.layers.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, keras.layers.Dense(3)(x))
model.compile("adam", "mse")
model.fit(images, np.ones((24, 3)), batch_size=10, verbose=0)
set_peers(model, draw_peers(images, 5))
model.evaluate(images, np.ones((24, 3)), verbose=0)
assert np.isfinite(model.predict(images, verbose=0)).all()
set_peers(model, draw_peers(images, 5, 3))
assert monte_carlo(model).predict(images, verbose=0).shape == (24, 3)
assert sys.modules["tensorflow"] is None
""",
        KERAS_BACKEND="jax",
    )


def test_monte_carlo_of_a_branching_model_on_jax():
    """Logits and gradient are the means of those with one graph at a time."""
    run_python(
        """
import jax
import keras
import numpy as np
from peernets_tf import PeerRegularization, monte_carlo, set_peers

rng = np.random.default_rng(0)
images = rng.random((3, 6, 6, 3)).astype("float32")
graphs = rng.random((3, 4, 6, 6, 3)).astype("float32")
inputs = keras.Input((6, 6, 3))
stem = keras.layers.Conv2D(4, 3, padding="same")(inputs)
x = PeerRegularization(3, attention="softplus")(stem)
x = keras.layers.Concatenate()([x, stem, inputs])
x = PeerRegularization(3, attention="softplus")(x)
model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def logits_and_gradient(network):
    def loss(x):
        logits = network(x, training=False)
        return (logits[:, 0] ** 2).sum(), logits

    gradient, logits = jax.jit(jax.grad(loss, has_aux=True))(images)
    return logits, gradient


def mean(x, training):
    logits = 0
    for graph in graphs:
        set_peers(model, graph)
        logits = logits + model(x, training=training) / len(graphs)
    return logits


def eagerly(network):
    gradient = jax.grad(lambda x: (network(x, training=False)[:, 0] ** 2).sum())
    return network(images, training=False), gradient(jax.numpy.array(images))


expected = eagerly(mean)
set_peers(model, graphs)
found = logits_and_gradient(monte_carlo(model))
for ours, theirs in zip(found, expected, strict=True):
    largest = np.abs(theirs).max()
    assert largest > 0
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * largest)
""",
        KERAS_BACKEND="jax",
    )


def test_peers_and_weights_on_jax_without_tensorflow(tmp_path):
    """Old peers warn, none are refused before the first step, few pixels, too.

    `RefreshPeers` gives validation and what follows fresh ones. A saved model
    keeps weights and peers in another precision.
    """
    run_python(
        """
import sys
sys.modules["tensorflow"] = None
import warnings
import keras
import numpy as np
from peernets_tf import PeerRegularization, RefreshPeers, models, set_peers
from peernets_tf.errors import UserError

# With other weights, rounding may change the output by more than 0.02.
keras.utils.set_random_seed(0)
images = np.random.default_rng(0).random((9, 4, 4, 3)).astype("float32")
targets = np.ones((9, 4))


def make_model():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(PeerRegularization()(x))
    model = keras.Model(inputs, x)
    model.compile("sgd", "mse")
    return model


def fit(model, callbacks=(), validate=True, **options):
    validation = (images, targets) if validate else None
    model.fit(images, targets, validation_data=validation, verbose=0,
              callbacks=list(callbacks), **options)


def evaluate_warns(model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.evaluate(images, targets, verbose=0)
    return any("older than the model" in str(w.message) for w in caught)


for message, options in (
    ("RefreshPeers", {}),
    ("10 peer pixels", {"validate": False, "batch_size": 8}),
):
    try:
        fit(make_model(), shuffle=False, **options)
    except UserError as error:
        assert message in str(error)
    else:
        raise AssertionError(options)
model = make_model()
fit(model, [RefreshPeers(images, 4)], epochs=2)
assert not evaluate_warns(model)
fit(model, [RefreshPeers(images, 4)])
assert not evaluate_warns(model)
fit(model, validate=False)
assert evaluate_warns(model)
set_peers(model, images)
assert not evaluate_warns(model)
fit(model, validate=False)
assert evaluate_warns(model)
set_peers(model, images[:4])
assert not evaluate_warns(model)
model.save(sys.argv[1])
rounded = models.load(sys.argv[1], "mixed_bfloat16")
assert rounded.layers[1].compute_dtype == "bfloat16"
rounded.compile("sgd", "mse")
assert not evaluate_warns(rounded)
difference = rounded.predict(images, verbose=0) - model.predict(
    images, verbose=0
)
assert 0 < abs(difference).max() < 0.02
assert sys.modules["tensorflow"] is None
""",
        tmp_path / "model.keras",
        KERAS_BACKEND="jax",
    )


def test_training_command_on_jax(npz_path, tmp_path):
    result = run_process(
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path}",
        "--epochs=2",
        "--num_peers=8",
        "--num_graphs=2",
        module="peernets_tf.train",
        KERAS_BACKEND="jax",
    )
    assert result.status == 0, result.stderr
    assert "test accuracy" in result.stdout
    assert (tmp_path / "model.keras").is_file()


def test_a_diverging_training_on_jax_is_one_line(npz_path, tmp_path):
    result = run_process(
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path}",
        "--model=lenet5",
        "--batch_size=32",
        "--epochs=1",
        "--optimizer=momentum",
        "--learning_rate=1e38",
        module="peernets_tf.train",
        KERAS_BACKEND="jax",
    )
    assert "with learning rate 1e+38; run again" in error_line(result)


def test_a_training_does_not_go_on_with_another_backend(npz_path, tmp_path):
    flags = [
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path}",
        "--model=lenet5",
        "--batch_size=32",
        "--epochs=1",
    ]
    assert run_command("peernets_tf.train", *flags).status == 0
    result = run_process(
        *flags, module="peernets_tf.train", KERAS_BACKEND="jax"
    )
    assert "Received: backend=jax" in error_line(result)
