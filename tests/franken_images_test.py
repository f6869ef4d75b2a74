"""Franken-images in TensorBoard's logs, on both backends."""

import dataclasses
import glob

import keras
import numpy as np
import pytest
from commands import check_errors, error_line, run_command, run_python
from small_models import make_peernet
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from peernets_tf import datasets
from peernets_tf.errors import UserError
from peernets_tf.evaluation import LogFrankenImages, franken_images

FLAGS = (
    "--model=pr_lenet5",
    "--epochs=2",
    "--batch_size=16",
    "--num_peers=8",
    "--num_graphs=2",
    "--schedule=step",
    "--decay_epochs=2",
)


def events_in(folder):
    (path,) = glob.glob(f"{folder}/events.*")
    accumulator = EventAccumulator(path, {"tensors": 0})
    return accumulator.Reload()


def image_sizes(folder):
    """The width and the height that each epoch's images are logged with."""
    tag = "franken_images"
    return [
        tuple(map(int, event.tensor_proto.string_val[:2]))
        for event in events_in(folder).Tensors(tag)
    ]


def test_training_logs_images_and_the_learning_rate(npz_path, tmp_path):
    result = run_command(
        "peernets_tf.train",
        *FLAGS,
        "--epochs=3",
        "--tensorboard_images",
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path}",
    )
    assert result.status == 0, result.stderr
    logs = tmp_path / "tensorboard"
    # The image, and one for each of two layers; three epochs.
    assert image_sizes(logs / "franken_images") == [(36, 12)] * 3
    rates = events_in(logs / "train").Tensors("epoch_learning_rate")
    assert [event.step for event in rates] == [0, 1, 2]
    values = [np.frombuffer(e.tensor_proto.tensor_content, "f4") for e in rates]
    np.testing.assert_allclose(np.ravel(values), [1e-3, 1e-4, 1e-4], rtol=1e-5)


def test_the_weights_do_not_depend_on_it(npz_path, tmp_path):
    hashes = []
    for name, flags in (("a", []), ("b", ["--tensorboard_images"])):
        result = run_command(
            "peernets_tf.train",
            *FLAGS,
            *flags,
            f"--dataset={npz_path}",
            f"--output_dir={tmp_path / name}",
        )
        assert result.status == 0, result.stderr
        model = keras.saving.load_model(tmp_path / name / "model.keras")
        hashes.append([w.tobytes() for w in model.get_weights()])
    assert hashes[0] == hashes[1]


JAX = """
import sys
sys.path.insert(0, "tests")
from franken_images_test import log_epochs
log_epochs(sys.argv[1], sys.argv[2])
"""


def log_epochs(npz_path, folder):
    """Fits a small PeerNet for two epochs with the callback."""
    from peernets_tf import RefreshPeers, datasets

    dataset = datasets.load(npz_path)
    model = make_peernet(dataset)
    model.compile("sgd", "mse")
    targets = keras.utils.to_categorical(dataset.train.labels)
    images = dataset.train.images
    callbacks = [
        RefreshPeers(images, 6, seed=4),
        LogFrankenImages(dataset, 6, 4, folder, num_images=3),
    ]
    model.fit(
        images,
        targets,
        epochs=2,
        validation_split=0.5,
        callbacks=callbacks,
        verbose=0,
    )
    return model, callbacks[1]


@pytest.mark.parametrize("backend", ["jax"])
def test_on_another_backend(npz_path, tmp_path, backend):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    run_python(JAX, npz_path, tmp_path, KERAS_BACKEND=backend)
    folder = tmp_path / "tensorboard" / "franken_images"
    assert image_sizes(folder) == [(24, 12)] * 2


def test_the_peers_are_those_of_the_validation(npz_path, tmp_path):
    from peernets_tf.evaluation import draw_graph
    from peernets_tf.seeds import Stream

    model, callback = log_epochs(npz_path, str(tmp_path))
    graph = draw_graph(
        model,
        datasets.load(npz_path),
        seed=1,
        num_peers=6,
        stream=(int(Stream.VALIDATION_PEERS), 4),
    )
    assert graph.is_stored
    strips = callback.strips(epoch=1)
    assert strips.shape == (3, 12, 24, 1)
    assert strips.min() >= 0 and strips.max() <= 1


def test_it_is_refused_where_it_cannot_work(
    npz_path, stripes, tmp_path, monkeypatch
):
    check_errors(
        "peernets_tf.train",
        [(["--tensorboard_images", "--model=lenet5"], "is for PeerNets")],
    )
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "franken_images").write_text("a file")
    result = run_command(
        "peernets_tf.train",
        *FLAGS,
        "--tensorboard_images",
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path}",
    )
    assert "franken_images must be a folder" in error_line(result)
    assert not (tmp_path / "run.json").exists()
    monkeypatch.setattr(
        franken_images.importlib.util, "find_spec", lambda name: None
    )
    with pytest.raises(UserError, match="needs the packages tensorflow"):
        LogFrankenImages(stripes, 6, 0, str(tmp_path))
    four = dataclasses.replace(
        stripes,
        test=datasets.Split(
            images=np.zeros((2, 4, 4, 4), "float32"),
            labels=np.zeros(2, "int32"),
        ),
    )
    monkeypatch.undo()
    with pytest.raises(UserError, match="grey or RGB .* with 4 channels"):
        LogFrankenImages(four, 6, 0, str(tmp_path / "other"))
