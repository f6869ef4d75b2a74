import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from peernets_tf import PeerRegularization, set_peers


def features(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def make_layer(channels, **options):
    layer = PeerRegularization(**options)
    layer.build((None, None, None, channels))
    return layer


def reference(layer, queries, keys):
    """Equation 2 for each pixel, written out in float64."""
    query_kernel, key_kernel, bias = (
        np.float64(ops.convert_to_numpy(weight))
        for weight in (layer.query_kernel, layer.key_kernel, layer.bias)
    )
    outputs = []
    for query in queries.reshape(-1, queries.shape[-1]).astype("float64"):
        flat = keys.reshape(-1, keys.shape[-1]).astype("float64")
        cosines = flat @ query / np.linalg.norm(flat, axis=1)
        chosen = flat[np.argsort(-cosines)[: layer.num_neighbors]]
        logits = query @ query_kernel + chosen @ key_kernel + bias
        if layer.attention == "gat":
            scores = np.exp(np.where(logits > 0, logits, 0.2 * logits))
        elif layer.attention == "softplus":
            scores = np.exp(np.log1p(np.exp(logits)))
        else:
            scores = np.exp(logits)
            scores = np.where(scores > 0, scores, 0.2 * scores)
        outputs.append(scores / scores.sum() @ chosen)
    return np.reshape(outputs, queries.shape)


@pytest.mark.parametrize("attention", ["gat", "softplus", "literal"])
def test_equals_equation_2(rng, attention):
    layer = make_layer(5, num_neighbors=4, attention=attention)
    layer.bias.assign(0.1)
    inputs = features(rng, 2, 3, 4, 5)
    peers = features(rng, 3, 6, 2, 5)
    np.testing.assert_allclose(
        layer(inputs, peers=peers), reference(layer, inputs, peers), atol=1e-5
    )


def test_by_hand():
    layer = make_layer(1, num_neighbors=2)
    layer.query_kernel.assign([1.0])
    layer.key_kernel.assign([1.0])
    layer.bias.assign(-3.0)
    inputs = np.full((1, 1, 1, 1), 1, "float32")
    peers = np.array([[[[2.0], [4.0], [-1.0]]]], "float32")
    # logits 1 + 2 - 3 = 0 and 1 + 4 - 3 = 2; both neighbours have cosine 1.
    weight = np.exp(2) / (1 + np.exp(2))
    expected = 2 * (1 - weight) + 4 * weight
    np.testing.assert_allclose(
        layer(inputs, peers=peers), [[[[expected]]]], rtol=1e-6
    )
    # Below zero LeakyReLU keeps a fifth: logits -0.8 and -0.4.
    layer.bias.assign(-7.0)
    weight = np.exp(-0.4) / (np.exp(-0.8) + np.exp(-0.4))
    expected = 2 * (1 - weight) + 4 * weight
    np.testing.assert_allclose(
        layer(inputs, peers=peers), [[[[expected]]]], rtol=1e-6
    )


def test_the_order_of_peers_does_not_matter(rng):
    layer = make_layer(4)
    inputs, peers = features(rng, 2, 3, 3, 4), features(rng, 5, 3, 3, 4)
    shuffled = peers[rng.permutation(5)][:, rng.permutation(3)]
    np.testing.assert_allclose(
        layer(inputs, peers=peers), layer(inputs, peers=shuffled), atol=1e-6
    )


def test_equal_peers_give_their_value(rng):
    layer = make_layer(4)
    pixel = features(rng, 4)
    peers = np.broadcast_to(pixel, (2, 3, 3, 4))
    outputs = layer(features(rng, 1, 2, 2, 4), peers=peers)
    np.testing.assert_allclose(
        outputs, np.broadcast_to(pixel, (1, 2, 2, 4)), atol=1e-6
    )


def test_one_neighbor_is_the_nearest(rng):
    layer = make_layer(4, num_neighbors=1)
    peers = features(rng, 2, 3, 3, 4)
    inputs = 2 * peers[:, ::-1]
    np.testing.assert_allclose(
        layer(inputs, peers=peers), peers[:, ::-1], atol=1e-6
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_eager_equals_compiled(rng, jit_compile):
    layer = make_layer(6)
    inputs, peers = features(rng, 2, 5, 5, 6), features(rng, 3, 5, 5, 6)
    compiled = tf.function(
        lambda x, p: layer(x, peers=p), jit_compile=jit_compile
    )
    np.testing.assert_allclose(
        compiled(inputs, peers), layer(inputs, peers=peers), atol=1e-5
    )


def test_training_uses_the_batch_and_its_own_pixels(rng):
    layer = make_layer(
        4, num_neighbors=1, neighbor_dropout=0, attention_dropout=0
    )
    inputs = features(rng, 3, 2, 2, 4)
    np.testing.assert_allclose(layer(inputs, training=True), inputs, atol=1e-6)


def test_exclude_self(rng):
    options = {"num_neighbors": 1, "neighbor_dropout": 0}
    layer = make_layer(4, exclude_self=True, **options)
    inputs = features(rng, 3, 2, 2, 4)
    pixels = inputs.reshape(-1, 4)
    unit = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    similarity = unit @ unit.T - 9 * np.eye(len(pixels))
    expected = pixels[similarity.argmax(axis=1)].reshape(inputs.shape)
    np.testing.assert_allclose(
        layer(inputs, training=True), expected, atol=1e-6
    )
    # Peers that are given are no batch: the same features may be chosen.
    np.testing.assert_allclose(layer(inputs, peers=inputs), inputs, atol=1e-6)


def test_neighbor_dropout_has_its_distribution():
    """The rank of the first survivor is geometric: (1 - p) p^rank."""
    angles = np.linspace(0, 1, 40)
    peers = np.stack([np.cos(angles), np.sin(angles)], -1)
    peers = np.float32(peers.reshape(1, 1, 40, 2))
    layer = make_layer(
        2, num_neighbors=1, neighbor_dropout=0.3, attention_dropout=0, seed=3
    )
    inputs = np.broadcast_to(np.float32([1, -1]), (1, 100, 200, 2))
    outputs = ops.convert_to_numpy(layer(inputs, peers=peers, training=True))
    ranks = np.round(39 * np.arctan2(outputs[..., 1], outputs[..., 0]))
    for rank in range(4):
        expected = 0.7 * 0.3**rank
        assert abs(np.mean(ranks == rank) - expected) < 0.012


def test_dropouts_only_in_training(rng):
    layer = make_layer(4, seed=1)
    inputs, peers = features(rng, 1, 4, 4, 4), features(rng, 4, 4, 4, 4)
    still = layer(inputs, peers=peers)
    np.testing.assert_array_equal(still, layer(inputs, peers=peers))
    first = layer(inputs, peers=peers, training=True)
    second = layer(inputs, peers=peers, training=True)
    assert np.abs(first - still).max() > 1e-3
    assert np.abs(first - second).max() > 1e-3


def test_attention_dropout_acts_on_the_logits():
    """A dropped logit is zero, the others are divided by the kept share."""
    layer = make_layer(
        1, num_neighbors=2, neighbor_dropout=0, attention_dropout=0.5, seed=0
    )
    layer.query_kernel.assign([0.0])
    layer.key_kernel.assign([1.0])
    peers = np.array([[[[1.0], [2.0]]]], "float32")
    inputs = np.ones((1, 40, 40, 1), "float32")
    outputs = ops.convert_to_numpy(layer(inputs, peers=peers, training=True))

    def mean(*logits):
        scores = np.exp(logits)
        return scores @ [1, 2] / scores.sum()

    expected = [mean(0, 0), mean(2, 0), mean(0, 4), mean(2, 4)]
    distances = np.abs(outputs.reshape(-1, 1) - expected)
    assert distances.min(axis=1).max() < 1e-5
    counts = np.bincount(distances.argmin(axis=1), minlength=4) / 1600
    np.testing.assert_allclose(counts, 0.25, atol=0.04)


def gradient(layer, inputs, peers):
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, peers=peers) ** 2)
    return tape.gradient(loss, inputs)


def test_gradient_of_the_inputs(rng):
    """As printed, Equation 2 has none with fixed peers; gat and softplus do."""
    inputs, peers = features(rng, 1, 3, 3, 4), features(rng, 4, 3, 3, 4)
    sizes = {
        attention: np.abs(
            gradient(make_layer(4, attention=attention), inputs, peers)
        ).max()
        for attention in ("gat", "softplus", "literal")
    }
    assert sizes["literal"] < 1e-6
    assert sizes["gat"] > 1e-3
    assert sizes["softplus"] > 1e-3


def test_gradient_of_the_weights_and_peers(rng):
    """Against central differences; the neighbours stay where they are."""
    layer = make_layer(3, num_neighbors=2)
    inputs, peers = features(rng, 1, 2, 2, 3), features(rng, 2, 2, 2, 3)
    peers = tf.Variable(peers)
    variables = [v.value for v in layer.trainable_variables] + [peers]

    def loss():
        return tf.reduce_sum(tf.sin(layer(inputs, peers=peers)))

    with tf.GradientTape() as tape:
        value = loss()
    for variable, slope in zip(
        variables, tape.gradient(value, variables), strict=True
    ):
        direction = rng.normal(size=variable.shape).astype("float32")
        start = variable.numpy()
        step = 1e-3 * direction
        variable.assign(start + step)
        above = loss()
        variable.assign(start - step)
        below = loss()
        variable.assign(start)
        np.testing.assert_allclose(
            np.sum(slope * direction), (above - below) / 2e-3, atol=5e-3
        )


def test_inference_without_peers_names_set_peers(rng):
    with pytest.raises(ValueError, match="set_peers"):
        make_layer(3)(features(rng, 1, 4, 4, 3))


def test_refuses_peers_of_other_channels(rng):
    layer = make_layer(4)
    for shape in [(2, 2, 3, 6), (2, 3, 3, 5), (4, 4, 4)]:
        with pytest.raises(ValueError, match=r"\(N, H, W, 4\)"):
            layer(features(rng, 1, 2, 2, 4), peers=features(rng, *shape))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("pixels", [9, 10, 12, 19, 40])
def test_few_pixels_in_a_batch_of_unknown_size(rng, pixels, jit_compile):
    """Fewer than the shortlist of the dropout, and fewer than K."""
    layer = make_layer(3, seed=0, name="regularizer")
    spec = tf.TensorSpec((None, 1, 1, 3), tf.float32)
    train = tf.function(
        lambda x: layer(x, training=True),
        input_signature=(spec,),
        jit_compile=jit_compile,
    )
    inputs = features(rng, pixels, 1, 1, 3)
    if pixels < 10:
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match="regularizer.+needs.at.least.10.peer.pixels.*larger.batch",
        ):
            train(inputs)
        return
    outputs = train(inputs)
    assert np.isfinite(outputs).all()
    # Means of the inputs: nothing else may have entered.
    assert np.all(outputs <= inputs.max(axis=0) + 1e-5)
    assert np.all(outputs >= inputs.min(axis=0) - 1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_last_batch_with_few_pixels_trains_nothing(rng, jit_compile):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    x = keras.layers.Flatten()(PeerRegularization()(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    kept = []

    def keep(batch, logs):
        kept.append(model.get_weights())

    with pytest.raises(tf.errors.InvalidArgumentError, match="10.peer.pixels"):
        model.fit(
            features(rng, 65, 4, 4, 3),
            np.zeros((65, 2)),
            batch_size=64,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=keep)],
            verbose=0,
        )
    assert len(kept) == 1
    for before, after in zip(kept[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_too_few_peer_pixels(rng):
    layer = make_layer(3)
    with pytest.raises(ValueError, match="num_neighbors=10"):
        layer(features(rng, 1, 4, 4, 3), peers=features(rng, 1, 3, 3, 3))
    with pytest.raises(ValueError, match="num_neighbors=10"):
        layer.set_peers(features(rng, 1, 1, 3, 3, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"num_neighbors": 0},
        {"num_neighbors": 2.5},
        {"num_neighbors": float("inf")},
        {"num_neighbors": None},
        {"epsilon": float("nan")},
        {"epsilon": float("inf")},
        {"attention": "dot"},
        {"neighbor_dropout": 1.0},
        {"epsilon": 0.0},
        {"attention_dropout": -0.1},
        {"data_format": "NCHW"},
    ],
)
def test_refuses_arguments_out_of_range(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"Received: {name}="):
        PeerRegularization(**options)


def test_refuses_other_ranks():
    with pytest.raises(ValueError, match=r"\(B, H, W, C\)"):
        PeerRegularization()(keras.Input((7,)))


def test_config_round_trip():
    layer = PeerRegularization(
        num_neighbors=3,
        attention="softplus",
        neighbor_dropout=0.1,
        attention_dropout=0.4,
        negative_slope=0.3,
        exclude_self=True,
        epsilon=1e-4,
        seed=5,
        data_format="channels_first",
        name="regularizer",
    )
    config = layer.get_config()
    assert PeerRegularization.from_config(config).get_config() == config
    assert config["negative_slope"] == 0.3
    del config["data_format"]
    old = PeerRegularization.from_config(config)
    assert old.data_format == "channels_last"


def test_mixed_precision(rng):
    layer = PeerRegularization(dtype="mixed_float16")
    inputs, peers = features(rng, 1, 4, 4, 4), features(rng, 2, 4, 4, 4)
    outputs = layer(inputs, peers=peers)
    assert outputs.dtype == tf.float16
    full = PeerRegularization()
    full.build(inputs.shape)
    full.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        ops.cast(outputs, "float32"), full(inputs, peers=peers), atol=0.05
    )


def test_a_layer_shared_with_explicit_peers_in_a_functional_model(rng):
    images, references = keras.Input((4, 4, 3)), keras.Input((5, 5, 3))
    outputs = PeerRegularization(num_neighbors=3)(images, peers=references)
    assert outputs.shape == (None, 4, 4, 3)
    model = keras.Model([images, references], outputs)
    inputs, peers = features(rng, 2, 4, 4, 3), features(rng, 2, 5, 5, 3)
    np.testing.assert_allclose(
        model.predict([inputs, peers], verbose=0),
        model.layers[-1](inputs, peers=peers),
        atol=1e-6,
    )


def test_channels_first(rng, monkeypatch):
    last = make_layer(5, num_neighbors=4)
    monkeypatch.setattr(
        keras.config, "image_data_format", lambda: "channels_first"
    )
    first = PeerRegularization(num_neighbors=4)
    assert first.data_format == "channels_first"
    first.build((None, 5, None, None))
    first.set_weights(last.get_weights())
    inputs, peers = features(rng, 2, 3, 4, 5), features(rng, 3, 6, 2, 5)

    def turned(x):
        return np.transpose(x, (0, 3, 1, 2))

    np.testing.assert_allclose(
        first(turned(inputs), peers=turned(peers)),
        turned(last(inputs, peers=peers)),
        atol=1e-6,
    )
    for layer in (first, last):
        layer.set_peers(peers[None])
    np.testing.assert_allclose(
        first(turned(inputs)), turned(last(inputs)), atol=1e-6
    )
    assert first(keras.Input((5, 3, 4))).shape == (None, 5, 3, 4)
    with pytest.raises(ValueError, match="axis 1"):
        first(inputs)


def test_a_channels_first_model_stores_its_peers(rng):
    inputs = keras.Input((3, 4, 4))
    layer = PeerRegularization(num_neighbors=2, data_format="channels_first")
    model = keras.Model(inputs, layer(inputs))
    peers = features(rng, 5, 3, 4, 4)
    set_peers(model, peers)
    assert layer.peers.shape == (1, 5, 4, 4, 3)
    images = features(rng, 2, 3, 4, 4)
    np.testing.assert_allclose(
        model(images), layer(images, peers=peers), atol=1e-6
    )


def test_a_layer_on_its_own_output_is_refused_when_called():
    layer = PeerRegularization(name="regularizer")
    x = keras.layers.Conv2D(3, 3, padding="same")(layer(keras.Input((8, 8, 3))))
    with pytest.raises(ValueError, match="'regularizer'.*one layer for each"):
        layer(x)


def test_a_layer_on_two_branches_is_refused_by_the_first_step(rng):
    layer = PeerRegularization(name="regularizer")
    inner_inputs, inputs = keras.Input((4, 4, 3)), keras.Input((4, 4, 3))
    inner = keras.Model(inner_inputs, layer(inner_inputs))
    outputs = keras.layers.Add()([layer(inputs), inner(inputs)])
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    images = features(rng, 4, 4, 4, 3)
    with pytest.raises(ValueError, match="'regularizer'.*one layer for each"):
        model.fit(images, images, verbose=0)


def test_one_place_may_be_built_again(rng):
    """In a growing Sequential, a clone, a part of a model, an outer model."""
    layer = PeerRegularization(num_neighbors=2)
    model = keras.Sequential([keras.Input((4, 4, 3))])
    for part in (keras.layers.Conv2D(2, 3), layer, keras.layers.Flatten()):
        model.add(part)
    inputs = keras.Input((4, 4, 3))
    outer = keras.Model(inputs, keras.layers.Dense(1)(model(inputs)))
    part = keras.Model(model.inputs, layer.output)
    images = features(rng, 4, 4, 4, 3)
    for network in (model, outer, part, keras.models.clone_model(outer)):
        network.compile("sgd", "mse")
        shape = (4, *network.output_shape[1:])
        network.fit(images, np.zeros(shape), verbose=0)
        set_peers(network, images)
        assert np.isfinite(network.predict(images, verbose=0)).all()


def test_weights_are_independent_of_the_peers(rng, tmp_path):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 1)(inputs)
    x = PeerRegularization(num_neighbors=2)(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    before = model.get_weights()
    images = features(rng, 4, 4, 4, 3)
    set_peers(model, images)
    model.set_weights(before)
    expected = model.predict(images, verbose=0)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    model.save(tmp_path / "model.h5")
    loaded = keras.saving.load_model(tmp_path / "model.h5")
    for copy in (clone, loaded):
        # Copies of the weights hold no peers, and say so.
        with pytest.raises(ValueError, match="set_peers"):
            copy.predict(images, verbose=0)
        set_peers(copy, images)
        np.testing.assert_allclose(
            copy.predict(images, verbose=0), expected, atol=1e-6
        )


def test_inference_converts_without_assertions(rng, tmp_path):
    inputs = keras.Input((4, 4, 3))
    x = PeerRegularization(num_neighbors=2)(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    images = features(rng, 4, 4, 4, 3)
    set_peers(model, images)
    model.export(tmp_path / "saved", verbose=False)
    restored = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(restored.serve(images), model(images), atol=1e-6)
    operations = restored.serve.get_concrete_function().graph.as_graph_def()
    assert "Assert" not in str(operations)
