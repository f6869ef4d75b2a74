"""A TensorFlow 1 checkpoint gives the logits of the original's equations."""

import keras
import numpy as np
import pytest
from commands import check_errors, run_command, run_python

from madry_challenge import original_checkpoint
from peernets_tf.errors import UserError

tf = pytest.importorskip("tensorflow", reason="pip install tensorflow-cpu")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="reads with TensorFlow"
)
FILTERS = (16, 16, 32, 64)


def original_variables(rng):
    """The variables of the thin network, under the original's names.

    Its `_batch_norm` opens a name scope for `init_bn` and its like, which
    names operations only. So the variables are `unit_1_1/sub2/BatchNorm/gamma`.
    """
    variables = {"global_step": np.array(70_000)}

    def convolution(name, inputs, outputs):
        scale = np.sqrt(2 / (9 * outputs))
        shape = (3, 3, inputs, outputs)
        variables[f"{name}/DW"] = scale * rng.normal(size=shape)
        # The optimizer's state is in the file, but not read.
        variables[f"{name}/DW/Momentum"] = np.zeros(shape)

    def normalization(name, maps):
        for key, low, high in (
            *(("gamma", 0.5, 1.5), ("beta", -0.5, 0.5)),
            *(("moving_mean", -0.5, 0.5), ("moving_variance", 0.5, 2.0)),
        ):
            variables[f"{name}/BatchNorm/{key}"] = rng.uniform(low, high, maps)

    convolution("input/init_conv", 3, FILTERS[0])
    for stage in (1, 2, 3):
        for i in range(5):
            inputs = FILTERS[stage - 1] if i == 0 else FILTERS[stage]
            unit = f"unit_{stage}_{i}"
            first = stage == 1 and i == 0
            scope = "shared" if first else "residual_only"
            normalization(f"{unit}/{scope}_activation", inputs)
            convolution(f"{unit}/sub1/conv1", inputs, FILTERS[stage])
            normalization(f"{unit}/sub2", FILTERS[stage])
            convolution(f"{unit}/sub2/conv2", FILTERS[stage], FILTERS[stage])
    normalization("unit_last", FILTERS[3])
    variables["logit/DW"] = rng.normal(size=(64, 10)) / 8
    variables["logit/biases"] = rng.normal(size=10)
    return {k: np.float32(v) for k, v in variables.items()}


def original_logits(images, variables):
    """The original's forward pass on images in [0, 255]."""

    def convolution(x, name, strides=1):
        return tf.nn.conv2d(x, variables[f"{name}/DW"], strides, "SAME")

    def activation(x, name):
        gamma, beta, mean, variance = (
            variables[f"{name}/BatchNorm/{key}"]
            for key in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
        return tf.where(x < 0, 0.1 * x, x)

    x = tf.image.per_image_standardization(images)
    x = convolution(x, "input/init_conv")
    for stage in (1, 2, 3):
        for i in range(5):
            unit = f"unit_{stage}_{i}"
            strides = 2 if stage > 1 and i == 0 else 1
            shortcut = x
            if stage == 1 and i == 0:
                x = activation(x, f"{unit}/shared_activation")
                shortcut = x
            else:
                x = activation(x, f"{unit}/residual_only_activation")
            x = convolution(x, f"{unit}/sub1/conv1", strides)
            x = activation(x, f"{unit}/sub2")
            x = convolution(x, f"{unit}/sub2/conv2")
            if shortcut.shape[-1] != x.shape[-1]:
                new = (x.shape[-1] - shortcut.shape[-1]) // 2
                shortcut = tf.nn.avg_pool2d(shortcut, strides, strides, "VALID")
                shortcut = tf.pad(shortcut, [[0, 0]] * 3 + [[new, new]])
            x = x + shortcut
    x = tf.reduce_mean(activation(x, "unit_last"), axis=(1, 2))
    return x @ variables["logit/DW"] + variables["logit/biases"]


def save(variables, folder):
    """Writes a TensorFlow 1 checkpoint."""
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        for name, value in variables.items():
            tf.compat.v1.get_variable(
                name, initializer=value, use_resource=False
            )
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        return saver.save(session, str(folder / "checkpoint"), 70_000)


def test_same_logits(rng, tmp_path):
    variables = original_variables(rng)
    prefix = save(variables, tmp_path)
    images = rng.uniform(0, 255, (3, 32, 32, 3)).astype("float32")
    expected = original_logits(images, variables)
    assert np.ptp(expected) > 1
    for path in (prefix, str(tmp_path)):
        model = original_checkpoint.read(path)
        assert model.name == "thin"
        np.testing.assert_allclose(model(images / 255), expected, atol=1e-4)


def test_a_network_that_diverged_is_not_imported(rng, tmp_path):
    for name, value in (("logit/biases", np.nan), ("logit/DW", 3e38)):
        variables = original_variables(rng)
        variables[name] = np.full_like(variables[name], value)
        folder = tmp_path / name.replace("/", "_")
        folder.mkdir()
        prefix = save(variables, folder)
        with pytest.raises(UserError, match="finite"):
            original_checkpoint.read(prefix)


def test_the_command(rng, tmp_path):
    prefix = save(original_variables(rng), tmp_path)
    output = tmp_path / "thin.keras"
    module = "madry_challenge.import_checkpoint"
    result = run_command(module, f"--checkpoint={prefix}", f"--output={output}")
    assert result.status == 0, result.stderr
    assert f"Model: {output} (thin)" in result.stdout
    # A process that has not built the network loads it, too.
    code = "from madry_challenge import submission; from peernets_tf import "
    code += f"models; print(models.load({str(output)!r}).name)"
    assert run_python(code).strip() == "thin"
    missing = f"--checkpoint={tmp_path / 'none'}"
    check_errors(
        module,
        [
            ([missing, f"--output={output}"], "is not a TensorFlow checkpoint"),
            ([missing, "--output=thin.h5"], "must end in .keras"),
            ([missing, f"--output={tmp_path}/none/x.keras"], "is missing"),
        ],
    )


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("unit_2_3/sub1/conv1/DW", "unit_2_3/sub1/conv1/DW"),
        ("logit/DW", "must hold one of the networks w32-10, thin"),
    ],
)
def test_refuses_an_incomplete_checkpoint(rng, tmp_path, missing, message):
    variables = original_variables(rng)
    del variables[missing]
    with pytest.raises(UserError, match=message):
        original_checkpoint.read(save(variables, tmp_path))


def test_refuses_a_damaged_checkpoint(rng, tmp_path):
    prefix = save(original_variables(rng), tmp_path)
    (path,) = tmp_path.glob("*.data-*")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="is damaged"):
        original_checkpoint.read(prefix)
