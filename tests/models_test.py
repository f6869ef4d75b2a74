import zipfile

import keras
import numpy as np
import pytest

from peernets_tf import models, set_peers
from peernets_tf.peers import peer_layers


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
    assert len(peer_layers(model)) == 2 * name.startswith("pr_")


def test_the_names_are_table_1s_and_v2():
    assert set(models.MODEL_NAMES) == {
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
    first, second = peer_layers(model)
    assert first.output.shape == (None, 16, 16, widths[1])
    assert second.output.shape == (None, 8, 8, widths[2])


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
    set_peers(model, images[:2])
    logits = model.predict(images, verbose=0)
    assert logits.shape == (4, 10)
    assert np.isfinite(logits).all()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "model.keras"
    models.build("lenet5", (28, 28, 1), 10).save(path)
    with zipfile.ZipFile(path) as archive:
        (entry,) = (i for i in archive.infolist() if "weights" in i.filename)
    content = bytearray(path.read_bytes())
    middle = entry.header_offset + entry.compress_size // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.keras is not a model"):
        models.load(path)


def test_refuses_unknown_names():
    with pytest.raises(ValueError, match="Received: resnet33"):
        models.build("resnet33", (32, 32, 3), 10)
