"""The command explain: one image's story, or one clear line."""

import numpy as np
import pytest
from commands import check_errors, error_line, run_command
from PIL import Image
from small_models import make_linear, make_peernet

from peernets_tf import models

EXPLAIN = "peernets_tf.explain"


@pytest.fixture(scope="module")
def saved(stripes, tmp_path_factory):
    """A folder with a PeerNet and a model without peers."""
    folder = tmp_path_factory.mktemp("models")
    models.save(make_peernet(stripes, (3, 0)), str(folder / "peernet.keras"))
    models.save(make_linear(), str(folder / "linear.keras"))
    return folder


def explain(*flags):
    result = run_command(EXPLAIN, *flags)
    assert result.status == 0, result.stderr
    return result.stdout


def size_of(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def test_a_test_image(saved, npz_path, tmp_path):
    flags = [f"--checkpoint={saved}/peernet.keras", f"--dataset={npz_path}"]
    output = tmp_path / "a.png"
    text = explain(*flags, "--image=4", f"--output={output}")
    assert f"peernet on test image 4 of {npz_path} (class 1)" in text
    for words in (
        "clean",
        "PGD-20, exact gradient",
        "PGD-20, identity backward",
        "6 peers stored in the model",
        f"Picture: {output}",
    ):
        assert words in text
    assert min(size_of(output)) > 400
    drawn = explain(
        *flags, "--image=4", "--num_peers=9", f"--output={output}", "--seed=2"
    )
    assert "9 peers drawn with --seed" in drawn


def test_a_file_of_the_users(saved, npz_path, tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.full((30, 50, 3), 200, "uint8")).save(path)
    for name, dataset in (
        ("peernet", [f"--dataset={npz_path}"]),
        # No data set is needed where there are no peers.
        ("linear", []),
    ):
        text = explain(
            f"--checkpoint={saved}/{name}.keras",
            *dataset,
            f"--image={path}",
            f"--output={tmp_path}/a.png",
        )
        assert "50 x 30 pixels: cut at its centre and resized to 12 x 12" in (
            text
        )
        assert f"{name} on photo.jpg" in text
        assert ("identity backward" in text) == (name == "peernet")


def test_bad_input_is_one_clear_line(saved, npz_path, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no image")
    usual = [
        f"--checkpoint={saved}/peernet.keras",
        f"--dataset={npz_path}",
        "--image=0",
        f"--output={tmp_path}/out.png",
    ]
    check_errors(
        EXPLAIN,
        [
            (["--image="], "--image must be"),
            (["--image=30"], "index below 30"),
            (["--image=9999999999999"], "at most 9 digits"),
            (["--image=-1"], "does not exist"),
            ([f"--image={text}"], f"cannot read {text}"),
            ([f"--image={tmp_path}"], "is not a file"),
            (["--output=a.jpg"], "--output must end in .png"),
            (["--output=no/such/a.png"], "missing"),
            (["--checkpoint=vgg"], "--checkpoint must be"),
            (["--checkpoint=cifar10_resnet32"], "must take images of shape"),
            (["--num_peers=97"], "num_peers"),
            ([f"--checkpoint={saved}/linear.keras", "--num_peers=4"], "leave"),
            (["--dataset="], "give --dataset"),
            (["cat.jpg"], "not a flag: cat.jpg"),
        ],
        usual=usual,
    )
    assert not (tmp_path / "out.png").exists()


def test_both_inputs_are_required():
    assert "--image" in error_line(
        run_command(EXPLAIN, "--checkpoint=mnist_lenet5")
    )
    assert "--checkpoint" in error_line(run_command(EXPLAIN, "--image=0"))
