"""The precision in which a saved model computes."""

import keras
import numpy as np
import pytest
from commands import check_errors, run_command
from small_models import SHAPE, make_linear, make_peernet

from peernets_tf import models, peers, records
from peernets_tf.errors import UserError

BFLOAT16 = "mixed_bfloat16"


@pytest.fixture
def peernet(stripes, tmp_path):
    """The path of a PeerNet that stores two graphs."""
    path = tmp_path / "peernet.keras"
    make_peernet(stripes).save(path)
    return path


def policies(model):
    return {layer.name: layer.dtype_policy.name for layer in model.layers}


def test_loads_in_another_precision_with_weights_and_peers(peernet, stripes):
    usual = models.load(peernet)
    mixed = models.load(peernet, BFLOAT16)
    assert models.weights_sha256(mixed) == models.weights_sha256(usual)
    images = stripes.test.images[:20]
    logits = [
        np.array(peers.monte_carlo(model)(images)) for model in (usual, mixed)
    ]
    assert logits[1].dtype == "float32"
    difference = np.abs(logits[1] - logits[0]).max()
    # bfloat16 has 8 significant bits, and rounding changes some neighbours.
    assert 0 < difference < 0.1 * np.abs(logits[0]).max()


def test_all_layers_but_the_last_compute_in_it(peernet):
    found = policies(models.load(peernet, BFLOAT16))
    *inner, last = list(found.values())[1:]
    assert set(inner) == {BFLOAT16}
    assert last == "float32"


@pytest.mark.parametrize("saved", [BFLOAT16, "mixed_float16"])
def test_a_model_in_mixed_precision_computes_in_float32(tmp_path, saved):
    path = tmp_path / "model.keras"
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(2, 3, dtype=saved)(inputs)
    x = keras.layers.Flatten(dtype=saved)(x)
    outputs = keras.layers.Dense(3, dtype="float32")(x)
    model = keras.Model(inputs, outputs)
    model.save(path)
    assert saved in policies(models.load(path)).values()
    found = models.load(path, "float32")
    assert set(policies(found).values()) == {"float32"}
    assert models.weights_sha256(found) == models.weights_sha256(model)


def test_the_last_layer_of_nested_models(tmp_path):
    encoder = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Conv2D(2, 3, name="encode")],
        name="encoder",
    )
    head = keras.Sequential(
        [
            keras.Input((10, 10, 2)),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(3, name="logits"),
        ],
        name="head",
    )
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input(SHAPE), encoder, head]).save(path)
    found = models.load(path, BFLOAT16)
    assert policies(found.get_layer("encoder")) == {"encode": BFLOAT16}
    assert policies(found.get_layer("head")) == {
        "flatten": BFLOAT16,
        "logits": "float32",
    }


@keras.saving.register_keras_serializable("precision_test")
class Block(keras.layers.Layer):
    """A layer with another one inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Conv2D(1, 3, padding="same")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return self.inner(inputs)


def test_operations_and_layers_inside_layers(tmp_path):
    inputs = keras.Input(SHAPE)
    x = inputs + Block(name="block")(inputs)
    x = keras.layers.Flatten()(x)
    path = tmp_path / "model.keras"
    keras.Model(inputs, keras.layers.Dense(3)(x)).save(path)
    found = models.load(path, BFLOAT16)
    assert found.get_layer("block").inner.compute_dtype == "bfloat16"
    assert found(np.zeros((1, *SHAPE))).dtype == "float32"


@keras.saving.register_keras_serializable("precision_test")
class Subclassed(keras.Model):
    """A model whose layers Keras does not know."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def test_refuses_what_cannot_be_rebuilt(peernet, tmp_path):
    with pytest.raises(UserError, match="`precision` must be.*float16"):
        models.load(peernet, "float16")
    model = Subclassed()
    model(np.zeros((1, 4)))
    path = tmp_path / "model.keras"
    model.save(path)
    with pytest.raises(UserError, match="functional.*Subclassed.*leave"):
        models.load(path, BFLOAT16)
    inputs = keras.Input(SHAPE)
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, 2 * logits).save(path)
    with pytest.raises(UserError, match="those of layers.*operation.*leave"):
        models.load(path, BFLOAT16)


def test_a_preset_in_another_precision():
    model = models.load_pretrained("mnist_pr_lenet5", BFLOAT16)
    assert BFLOAT16 in policies(model).values()


def test_evaluates_in_another_precision(npz_path, tmp_path):
    path = tmp_path / "model.keras"
    make_linear().save(path)
    flags = (
        f"--checkpoint={path}",
        f"--dataset={npz_path}",
        "--test_size=10",
        "--attack=fgsm",
        f"--output_dir={tmp_path / 'run'}",
    )
    result = run_command(
        "peernets_tf.evaluate", *flags, f"--precision={BFLOAT16}"
    )
    assert result.status == 0, result.stderr
    assert f"in {BFLOAT16}: 10 images" in result.stdout
    record = records.read(tmp_path / "run" / "record.json")
    assert record.precision == BFLOAT16
    # Pictures and cards are of models as they were saved.
    assert record.is_ablated
    # Its batches are not those of a model in float32.
    check_errors("peernets_tf.evaluate", [(flags, "precision")])


def test_a_suite_in_another_precision(npz_path, tmp_path):
    path = tmp_path / "model.keras"
    make_linear().save(path)
    result = run_command(
        "peernets_tf.evaluate",
        f"--checkpoint={path}",
        f"--dataset={npz_path}",
        "--test_size=4",
        "--suite=rand",
        "--budget=0.02",
        f"--precision={BFLOAT16}",
        f"--output_dir={tmp_path}",
    )
    assert result.status == 0, result.stderr
    assert records.read(tmp_path / "record.json").precision == BFLOAT16
