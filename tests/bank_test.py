import keras
import numpy as np
import pytest
import tensorflow as tf

from peernets_tf import PeerRegularization, monte_carlo, set_peers
from peernets_tf.peers import encode_peers, peer_layers, stored_peers


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = PeerRegularization(num_neighbors=5)(x)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = PeerRegularization(num_neighbors=3)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


@pytest.fixture
def images(rng):
    return rng.random((6, 8, 8, 3)).astype("float32")


@pytest.fixture
def graphs(rng):
    return rng.random((3, 4, 8, 8, 3)).astype("float32")


def test_peers_are_each_others_peers(graphs, images):
    """The second layer stores what the first makes of its own graph."""
    model = make_model()
    set_peers(model, graphs[0])
    first, second = peer_layers(model)
    x = graphs[0]
    for layer in model.layers[1:3]:
        x = layer(x, training=False)
    np.testing.assert_allclose(first.peers[0], x, atol=1e-5)
    x = model.layers[4](first(x, peers=x))
    np.testing.assert_allclose(second.peers[0], x, atol=1e-5)


def test_labels_are_kept_one_for_each_image(graphs):
    model = make_model()
    labels = np.arange(12).reshape(3, 4)
    bank = encode_peers(model, graphs, labels)
    np.testing.assert_array_equal(bank.labels, labels)
    np.testing.assert_array_equal(
        encode_peers(model, graphs[0], labels[0]).labels, labels[:1]
    )
    assert encode_peers(model, graphs).labels is None
    for wrong in (labels[:2], labels[:, :3], labels[0], 0.5 * labels):
        with pytest.raises(ValueError, match="`labels` must be integers"):
            encode_peers(model, graphs, wrong)


def test_logits_do_not_depend_on_batch_mates(graphs, images):
    model = make_model()
    set_peers(model, graphs)
    together = model(images, training=False)
    alone = [model(image[None], training=False)[0] for image in images]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(
        model(images[::-1], training=False), together[::-1], atol=1e-5
    )


def test_inference_uses_the_first_graph(graphs, images):
    model = make_model()
    set_peers(model, graphs)
    first = model(images, training=False)
    set_peers(model, graphs[0])
    np.testing.assert_allclose(model(images, training=False), first, atol=1e-6)


def test_saved_and_loaded(graphs, images, tmp_path):
    model = make_model()
    set_peers(model, graphs)
    average = monte_carlo(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded(images, training=False), model(images, training=False), atol=1e-6
    )
    np.testing.assert_allclose(
        monte_carlo(loaded)(images), average(images), atol=1e-6
    )
    average.save(tmp_path / "average.keras")
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "average.keras")(images),
        average(images),
        atol=1e-6,
    )
    model.save_weights(tmp_path / "all.weights.h5")
    other = make_model(seed=1)
    other.load_weights(tmp_path / "all.weights.h5")
    np.testing.assert_allclose(monte_carlo(other)(images), average(images))


def test_saved_without_peers(images, tmp_path):
    model = make_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="set_peers"):
        loaded(images, training=False)
    set_peers(loaded, images)
    assert loaded(images, training=False).shape == (6, 3)


def test_new_peers_reach_compiled_functions(graphs, images):
    model = make_model()
    predictions = []
    for peers in (graphs[0], graphs[1], graphs, graphs[0]):
        set_peers(model, peers)
        predictions.append(model.predict(images, verbose=0))
        np.testing.assert_allclose(
            predictions[-1], model(images, training=False), atol=1e-5
        )
    assert np.abs(predictions[0] - predictions[1]).max() > 1e-3
    np.testing.assert_allclose(predictions[3], predictions[0], atol=1e-5)


def test_own_functions_never_go_on_with_old_peers(graphs, images):
    model = make_model()
    set_peers(model, graphs[0])
    compiled = tf.function(lambda x: model(x, training=False))
    compiled(tf.constant(images))
    set_peers(model, graphs[1])
    np.testing.assert_allclose(
        compiled(tf.constant(images)), model(images, training=False), atol=1e-5
    )
    # Another number of graphs needs another variable: NaN, not the old peers.
    set_peers(model, graphs)
    assert np.isnan(compiled(tf.constant(images))).all()


def test_encoding_and_storing_change_no_weights(graphs):
    model = make_model()
    before = model.get_weights()
    encode_peers(model, graphs)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    set_peers(model, graphs)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_is_stored_comes_back_as_a_value(graphs, images):
    model = make_model()
    assert stored_peers(model) is None
    set_peers(model, graphs)
    bank = stored_peers(model)
    assert (bank.num_graphs, bank.num_peers) == (3, 4)
    logits = model(images, training=False)
    set_peers(model, graphs[1])
    set_peers(model, bank)
    np.testing.assert_array_equal(model(images, training=False), logits)
    # And it is what encoding gives.
    encoded = encode_peers(model, graphs)
    for stored, features in zip(bank.features, encoded.features, strict=True):
        np.testing.assert_array_equal(stored, features)


def test_nested_models(graphs, images):
    inner = make_model()
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, keras.layers.Softmax()(inner(inputs)))
    set_peers(outer, graphs)
    np.testing.assert_allclose(
        outer.predict(images, verbose=0),
        keras.ops.softmax(inner(images, training=False)),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        monte_carlo(outer)(images),
        np.mean(
            [
                keras.ops.softmax(logits_with_graph(inner, graph, images))
                for graph in graphs
            ],
            axis=0,
        ),
        atol=1e-5,
    )


def logits_with_graph(model, graph, images):
    """What a copy of the model with one graph gives."""
    copy = make_model()
    for target, source in zip(copy.layers, model.layers, strict=True):
        target.set_weights(source.get_weights())
    set_peers(copy, graph)
    return copy(images, training=False)


class Block(keras.layers.Layer):
    """A layer of a user, without a shape inference of its own."""

    def __init__(self):
        super().__init__()
        self.convolution = keras.layers.Conv2D(4, 3)
        self.regularization = PeerRegularization(num_neighbors=3)

    def call(self, inputs, training=None):
        x = self.convolution(inputs)
        return self.regularization(x, training=training)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs, training=None):
        return self.dense(self.flatten(self.block(inputs, training=training)))


def test_inside_a_layer_of_ones_own(graphs, images):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(Block()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    assert model.output_shape == (None, 3)
    set_peers(model, graphs)
    assert np.isfinite(model.predict(images, verbose=0)).all()


@pytest.mark.parametrize("fit_first", [True, False])
def test_subclassed_models(graphs, images, fit_first):
    model = Subclassed()
    model.compile("sgd", "mse")
    if fit_first:
        model.fit(images, np.zeros((6, 3)), verbose=0)
    set_peers(model, graphs)
    np.testing.assert_allclose(
        model.predict(images, verbose=0),
        model(images, training=False),
        atol=1e-5,
    )


@pytest.mark.filterwarnings("ignore:The stored peers are older")
@pytest.mark.parametrize(
    "hook", ["on_train_begin", "on_epoch_end", "on_test_begin"]
)
def test_set_peers_from_a_callback(graphs, images, hook):
    model = make_model()
    model.compile("sgd", "mse")
    count = iter(range(1, 10))

    def store(*_):
        # Another number of graphs each time, so another variable.
        set_peers(model, np.repeat(graphs[:1], next(count), axis=0))

    callback = keras.callbacks.LambdaCallback()
    setattr(callback, hook, store)
    if hook != "on_train_begin":
        set_peers(model, graphs)
    history = model.fit(
        images,
        np.zeros((6, 3)),
        validation_data=(images, np.zeros((6, 3))),
        epochs=3,
        callbacks=[callback],
        verbose=0,
    )
    assert np.isfinite(history.history["val_loss"]).all()


def test_weights_without_peers_drop_the_old_ones(graphs, images, tmp_path):
    model = make_model()
    model.save_weights(tmp_path / "plain.weights.h5")
    set_peers(model, graphs)
    outer = keras.Sequential([keras.Input((8, 8, 3)), model])
    compiled = [model, outer, monte_carlo(model)]
    for network in compiled:
        assert np.isfinite(network.predict(images, verbose=0)).all()
    model.load_weights(tmp_path / "plain.weights.h5")
    with pytest.raises(ValueError, match="set_peers"):
        model(images, training=False)
    # Nor does what Keras compiled before go on.
    for network in compiled:
        with pytest.raises(ValueError, match="set_peers"):
            network.predict(images, verbose=0)


def test_training_after_set_peers(graphs, images):
    """Stored peers are not trained, and training does not use them."""
    model = make_model()
    set_peers(model, graphs)
    stored = [layer.peers.numpy() for layer in peer_layers(model)]
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(images, np.zeros((6, 3)), verbose=0)
    for layer, before in zip(peer_layers(model), stored, strict=True):
        np.testing.assert_array_equal(layer.peers, before)


@pytest.mark.parametrize("batch_size", [4, 6])
def test_fit_with_xla_equals_fit_without(graphs, images, batch_size):
    """Also where the last batch is smaller, so that sizes are unknown."""
    found = []
    for jit_compile in (False, True):
        model = make_model()
        for layer in peer_layers(model):
            layer.neighbor_dropout = layer.attention_dropout = 0.0
        model.compile("sgd", "mse", jit_compile=jit_compile)
        assert model.jit_compile == jit_compile
        history = model.fit(
            images,
            np.ones((6, 3)),
            batch_size=batch_size,
            epochs=2,
            shuffle=False,
            verbose=0,
        )
        set_peers(model, graphs)
        found.append(
            (history.history["loss"], model.predict(images, verbose=0))
        )
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-4)


def test_refuses(graphs):
    plain = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="must hold a PeerRegularization"):
        set_peers(plain, graphs)
    for images in (graphs[0, 0], graphs[:0]):
        with pytest.raises(ValueError, match=r"\(N, H, W, C\)"):
            set_peers(make_model(), images)
    with pytest.raises(ValueError, match="set_peers"):
        monte_carlo(make_model())(graphs[0])
    layer = PeerRegularization(num_neighbors=2)
    inputs = keras.Input((8, 8, 3))
    twice = keras.Model(inputs, layer(inputs) + layer(-inputs))
    with pytest.raises(ValueError, match="2 times"):
        set_peers(twice, graphs)


def test_images_out_of_range_are_refused_through_monte_carlo(graphs):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=0.5, variance=0.06)(inputs)
    model = keras.Model(inputs, PeerRegularization(num_neighbors=5)(x))
    for taker in (model, monte_carlo(model)):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
            set_peers(taker, 255 * graphs)
        with pytest.raises(ValueError, match="shape of the input"):
            set_peers(taker, graphs[..., :7, :])
    set_peers(monte_carlo(model), graphs)
    assert stored_peers(model).num_graphs == 3


def test_a_bank_of_other_weights_is_refused(graphs, images):
    """They are not told apart by the shapes of its features."""
    model, other = make_model(seed=0), make_model(seed=1)
    bank = encode_peers(model, graphs)
    for use in (set_peers, monte_carlo):
        with pytest.raises(ValueError, match="present weights of this model"):
            use(other, bank)
    set_peers(model, bank.first(1))
    model.compile("sgd", "mse")
    model.fit(images, np.ones((6, 3)), verbose=0)
    with pytest.raises(ValueError, match="call encode_peers"):
        set_peers(model, bank)


def test_refuses_a_training_step_that_does_not_say_so(graphs, images):
    class Silent(keras.Model):
        def __init__(self):
            super().__init__()
            self.model = make_model()

        def call(self, inputs):
            return self.model(inputs)

    model = Silent()
    set_peers(model, graphs)
    model(images)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`call` of 'silent' take `training`"):
        model.fit(images, np.ones((6, 3)), verbose=0)


def test_a_layer_that_is_not_built(graphs, images, tmp_path):
    class Optional(keras.Model):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.peers = PeerRegularization()
            self.flatten = keras.layers.Flatten()

        def call(self, inputs):
            return self.flatten(inputs)

    model = Optional()
    model(images)
    with pytest.raises(ValueError, match="must be built"):
        model.peers.set_peers(graphs)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path, {"Optional": Optional})
    np.testing.assert_array_equal(loaded(images), model(images))


@pytest.mark.filterwarnings("error")
def test_refuses_parallel_branches_before_anything_is_trained(graphs, images):
    """Keras builds a siamese model of two calls of one layer."""
    layer = PeerRegularization(num_neighbors=2)
    inputs = [keras.Input((8, 8, 3)) for _ in range(2)]
    joined = keras.layers.Concatenate()([layer(x) for x in inputs])
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(joined))
    siamese = keras.Model(inputs, outputs)
    siamese.compile("sgd", "mse")
    before = siamese.get_weights()
    with pytest.raises(ValueError, match="must stand at one place"):
        siamese.fit([images, images], np.ones((6, 1)), verbose=0)
    for old, new in zip(before, siamese.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match="2 times"):
        set_peers(siamese, graphs)
