"""The networks: layers, parameters, and weights in files."""

import zipfile

import keras
import numpy as np
import pytest

from madry_challenge import model as challenge_model
from peernets_tf import models, peers
from peernets_tf.defenses import autoencoder
from peernets_tf.errors import UserError


def shape_of(name):
    return (28, 28, 1) if name.endswith("lenet5") else (32, 32, 3)


# Counted by hand from Section 4.2 and He et al.
PARAMETERS = {
    "lenet5": 61706,
    "pr_lenet5": 61706 + (2 * 6 + 1) + (2 * 16 + 1),
}


@pytest.mark.parametrize("name", models.MODEL_NAMES)
def test_builds(name):
    model = models.build(name, shape_of(name), 7)
    assert model.name == name
    assert model.output_shape == (None, 7)
    assert model.layers[-1].activation is keras.activations.linear
    assert len(peers.peer_layers(model)) == 2 * name.startswith("pr_")


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.build("pr_lenet5", (28, 28, 1), 7),
        lambda: models.build("pr_resnet32", (32, 32, 3), 7),
        lambda: autoencoder((8, 8, 3), pooled=True),
        lambda: challenge_model.build(
            "thin", input_shape=(32, 32, 3), num_classes=7, weight_decay=0.0
        ),
    ],
    ids=["lenet5", "resnet32", "autoencoder", "challenge"],
)
def test_networks_are_channels_last_whatever_keras_says(build):
    expected = build()
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        built = build()
    finally:
        keras.config.set_image_data_format(before)
    assert models.config_sha256(built) == models.config_sha256(expected)


def test_the_names_are_table_1s_and_v2_and_a_rival():
    assert set(models.MODEL_NAMES) == {"brelu_resnet32"} | {
        prefix + name
        for prefix in ("", "pr_")
        for name in (
            "lenet5",
            "resnet32",
            "resnet32_v2",
            "resnet110",
            "resnet110_v2",
        )
    }


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_lenet5(name):
    model = models.build(name, (28, 28, 1), 10)
    trainable = sum(np.prod(v.shape) for v in model.trainable_variables)
    assert trainable == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "widths"),
    [("pr_resnet32", (16, 32, 64)), ("pr_resnet110_v2", (16, 64, 128))],
)
def test_structure_of_resnet(name, widths):
    model = models.build(name, (32, 32, 3), 10)
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and "skip" not in layer.name
    ]
    depth = int(name.removesuffix("_v2").removeprefix("pr_resnet"))
    assert len(convolutions) + 1 == depth
    stages = [layer.filters for layer in convolutions[1:]]
    assert stages == sorted(widths * ((depth - 2) // 3))
    first, second = peers.peer_layers(model)
    assert first.output.shape == (None, 16, 16, widths[1])
    assert second.output.shape == (None, 8, 8, widths[2])


def test_bounded_relus_bound_what_resnet32_computes(rng):
    """The rival has the weights of ResNet-32, and no ReLU above 4."""
    plain = models.build("resnet32", (32, 32, 3), 10)
    bounded = models.build("brelu_resnet32", (32, 32, 3), 10)
    models.copy_weights(plain, bounded)
    images = rng.random((2, 32, 32, 3)).astype("float32")
    outputs = {}
    for model in (plain, bounded):
        relus = [x for x in model.layers if isinstance(x, keras.layers.ReLU)]
        assert len(relus) == 31
        every = keras.Model(model.input, [relu.output for relu in relus])
        outputs[model.name] = [np.asarray(x) for x in every(images)]
    np.testing.assert_allclose(
        outputs["brelu_resnet32"][0],
        outputs["resnet32"][0].clip(max=4),
        rtol=1e-6,
    )
    assert max(x.max() for x in outputs["resnet32"]) > 4
    assert max(x.max() for x in outputs["brelu_resnet32"]) == 4


def test_peers_stand_between_relu_and_pooling_in_lenet5():
    names = [
        layer.name
        for layer in models.build("pr_lenet5", (28, 28, 1), 10).layers
    ]
    assert names[2:8] == [
        "conv1",
        "peers1",
        "pool1",
        "conv2",
        "peers2",
        "pool2",
    ]


def test_normalizes_in_its_first_layer(rng):
    images = rng.random((2, 32, 32, 3)).astype("float32")
    plain = models.build("resnet32", (32, 32, 3), 10)
    model = models.build(
        "resnet32", (32, 32, 3), 10, mean=[0.1, 0.2, 0.3], variance=[0.25] * 3
    )
    for layer, source in zip(model.layers[2:], plain.layers[2:], strict=True):
        layer.set_weights(source.get_weights())
    np.testing.assert_allclose(
        model(images),
        plain((images - [0.1, 0.2, 0.3]) / 0.5),
        rtol=1e-6,
        atol=1e-4,
    )


def test_l2_is_half_the_sum_of_squares_of_all_kernels():
    model = models.build("pr_lenet5", (28, 28, 1), 10, l2=0.02)
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    assert len(kernels) == 5
    expected = sum(0.01 * np.sum(np.square(kernel)) for kernel in kernels)
    np.testing.assert_allclose(sum(model.losses), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["pr_lenet5", "pr_resnet32"])
def test_predicts_with_peers(rng, name):
    model = models.build(name, shape_of(name), 10)
    images = rng.random((4, *shape_of(name))).astype("float32")
    peers.set_peers(model, images[:2])
    logits = model.predict(images, verbose=0)
    assert logits.shape == (4, 10)
    assert np.isfinite(logits).all()


def test_the_seeds_of_layers_are_those_of_published_models():
    for name, expected in (("pr_lenet5", [6, 7]), ("pr_resnet32", [103, 104])):
        model = models.build(name, shape_of(name), 10, seed=5)
        assert [layer.seed for layer in peers.peer_layers(model)] == expected


def test_variables_have_the_same_paths_in_each_model():
    """Checkpoints find them by path, whatever else a process has built."""
    for name in ("pr_lenet5", "pr_resnet32"):
        first, second = (
            [v.path for v in models.build(name, shape_of(name), 10).variables]
            for _ in range(2)
        )
        assert first == second
        assert len(set(first)) == len(first)


def test_copies_the_weights_of_layers_of_the_same_name(rng):
    baseline = models.build("lenet5", (12, 12, 1), 3)
    peernet = models.build("pr_lenet5", (12, 12, 1), 3)
    images = rng.random((10, 12, 12, 1)).astype("float32")
    peers.set_peers(peernet, images)
    before = peernet.get_layer("peers1").get_weights()
    models.copy_weights(baseline, peernet)
    for name in ("conv1", "conv2", "dense1", "dense2", "logits"):
        pairs = zip(
            peernet.get_layer(name).get_weights(),
            baseline.get_layer(name).get_weights(),
            strict=True,
        )
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
    for a, b in zip(
        peernet.get_layer("peers1").get_weights(), before, strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_refuses_weights_that_do_not_fit():
    source = models.build("lenet5", (12, 12, 1), 3)
    with pytest.raises(
        UserError, match=r"logits/kernel .*\(84, 4\).*\(84, 3\)"
    ):
        models.copy_weights(source, models.build("lenet5", (12, 12, 1), 4))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(UserError, match="no layer name in common"):
        models.copy_weights(source, other)


def test_refuses_weights_of_other_names():
    def make(inner):
        inputs = keras.Input((4,))
        dense = keras.layers.Dense(2, name=inner)
        body = keras.Sequential([keras.Input((4,)), dense], name="body")
        return keras.Model(inputs, body(inputs))

    with pytest.raises(UserError, match="must have the weight .*other/kernel"):
        models.copy_weights(make("dense"), make("other"))


def test_the_hash_depends_on_weights_and_stored_peers(rng, tmp_path):
    model = models.build("pr_lenet5", (12, 12, 1), 3)
    bare = models.weights_sha256(model)
    peers.set_peers(model, rng.random((4, 12, 12, 1)).astype("float32"))
    whole = models.weights_sha256(model)
    assert whole != bare
    assert models.weights_sha256(model, with_peers=False) == bare
    path = str(tmp_path / "model.keras")
    models.save(model, path)
    assert models.weights_sha256(models.load(path)) == whole
    config = models.config_sha256(model)
    assert models.config_sha256(models.load(path)) == config
    model.get_layer("logits").bias.assign([1.0, 2.0, 3.0])
    assert models.weights_sha256(model, with_peers=False) != bare


class Unsaved:
    """A function that Keras cannot save."""

    def __call__(self, inputs):
        return inputs


def test_the_hash_of_a_configuration_depends_on_all_but_names():
    def make(activation="relu", name="body", bound=None, dtype=None, swap=0):
        inputs = keras.Input((3,))
        x = keras.layers.Activation(activation, name=activation)(inputs)
        inner = keras.layers.Dense(3, dtype=dtype)
        x = keras.Sequential([keras.Input((3,)), inner], name=name)(x)
        pair = [x, keras.layers.ReLU(max_value=bound)(2 * x)]
        x = keras.layers.Subtract()([pair[swap], pair[1 - swap]])
        return models.config_sha256(keras.Model(inputs, x))

    assert make() == make(name="other")
    lost = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(Unsaved())])
    assert models.config_sha256(lost) == models.config_sha256(lost)
    changed = [
        make(),
        make(activation="softmax"),
        make(bound=6),
        make(dtype="mixed_bfloat16"),
        make(swap=1),
    ]
    assert len(set(changed)) == len(changed)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "model.keras"
    models.build("lenet5", (28, 28, 1), 10).save(path)
    with zipfile.ZipFile(path) as archive:
        (entry,) = (i for i in archive.infolist() if "weights" in i.filename)
    content = bytearray(path.read_bytes())
    middle = entry.header_offset + entry.compress_size // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.keras is damaged"):
        models.load(path)


def twice(x):
    return 2 * x


@pytest.mark.parametrize(
    ("layer", "received"),
    [
        (type("Twice", (keras.layers.Layer,), {}), "class 'Twice'"),
        (lambda: keras.layers.Lambda(lambda x: 2 * x), "`Lambda` layer"),
        (lambda: keras.layers.Lambda(twice), "function 'twice'"),
        (lambda: keras.layers.Dense(3, lambda x: 2 * x), "activation function"),
    ],
)
def test_a_file_that_needs_other_code_is_not_called_damaged(
    layer, received, tmp_path
):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((4,)), layer(), keras.layers.Dense(2)]).save(
        path
    )
    with pytest.raises(
        UserError, match=rf"robust_accuracy\(model.*Received: {received}"
    ):
        models.load(path)


def test_refuses_unknown_names():
    with pytest.raises(UserError, match="Received: name=resnet33"):
        models.build("resnet33", (32, 32, 3), 10)
