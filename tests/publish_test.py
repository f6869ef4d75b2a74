"""A run, published: small, whole, and with the counts of the small model."""

import os
import pathlib
import subprocess
import sys

import keras

from peernets_tf import data, models, results, training
from peernets_tf.peers import peer_layers

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(module, *flags):
    process = subprocess.run(
        [sys.executable, "-m", module, *flags],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_publish(npz_path, tmp_path):
    run_dir, published = tmp_path / "run", tmp_path / "published"
    run(
        "peernets_tf.train",
        f"--dataset={npz_path}",
        f"--output_dir={run_dir}",
        "--epochs=2",
        "--num_peers=8",
        "--num_graphs=3",
    )
    run(
        "peernets_tf.publish",
        f"--run_dir={run_dir}",
        f"--output_dir={published}",
        "--name=stripes",
        "--test_size=20",
    )
    whole = models.load(str(run_dir / "model.keras"))
    small = models.load(str(published / "stripes.keras"))
    for layer, source in zip(
        peer_layers(small), peer_layers(whole), strict=True
    ):
        assert layer.peers.shape[0] == 1
        assert keras.ops.all(layer.peers[0] == source.peers[0])
    record = results.read_json(str(published / "stripes.json"))
    assert record.weights_sha256 == results.weights_sha256(small)
    assert (record.test_size, record.num_graphs) == (20, 1)
    test = data.load(npz_path).test.first(20)
    correct = training.count_correct(small, test, verbose=0)
    assert record.correct == correct
    card = (published / "stripes.md").read_text()
    assert f"{record.accuracy:.2%} of the first 20" in card
    assert record.command in card
