"""The training command, as a user runs it."""

import json
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from processes import ROOT, check_errors, error_line, run

from peernets_tf import data, monte_carlo, results, training


def quick(npz_path, output_dir, **options):
    flags = {
        "dataset": npz_path,
        "model": "pr_lenet5",
        "output_dir": output_dir,
        "epochs": 2,
        "num_peers": 6,
        "num_graphs": 2,
        **options,
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def test_trains_tests_and_saves(npz_path, tmp_path):
    process = run(*quick(npz_path, tmp_path / "a", seed=5))
    assert process.returncode == 0, process.stderr
    record = results.read_json(str(tmp_path / "a" / "record.json"))
    assert f"test accuracy {record.accuracy:.2%}" in process.stdout
    assert (record.num_peers, record.num_graphs) == (6, 2)
    assert len(record.history) == 2
    # The saved model gives the record's count again, and its hash.
    model = keras.saving.load_model(tmp_path / "a" / "model.keras")
    assert results.weights_sha256(model) == record.weights_sha256
    test = data.load(npz_path).test
    correct = training.count_correct(monte_carlo(model), test, verbose=0)
    assert correct == record.correct

    again = run(*quick(npz_path, tmp_path / "b", seed=5))
    assert again.returncode == 0, again.stderr
    records = [
        json.loads((tmp_path / name / "record.json").read_text())
        for name in "ab"
    ]
    for record in records:
        # Wall time and the folder's name are all that may differ.
        del record["seconds"], record["command"]
        del record["flags"]["output_dir"]
    assert records[0] == records[1]

    report = run(tmp_path / "a" / "record.json", module="peernets_tf.report")
    assert report.returncode == 0, report.stderr
    assert "| pr_lenet5 |" in report.stdout
    assert "| 6 x 2 |" in report.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_and_resume(npz_path, tmp_path):
    flags = quick(npz_path, tmp_path, model="lenet5", epochs=400, batch_size=8)
    process = subprocess.Popen(
        [sys.executable, "-m", "peernets_tf.train", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell's background job ignores Ctrl-C, and so would its child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("checkpoint-*")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in output
    assert "Traceback" not in output
    (path,) = tmp_path.glob("checkpoint-*")
    reached = int(path.name[11:15])
    # The same run, shortened so that the test ends soon.
    run_id = json.loads((tmp_path / "run.json").read_text())
    run_id["run"]["epochs"] = reached + 1
    (tmp_path / "run.json").write_text(json.dumps(run_id))
    flags[3] = f"--epochs={reached + 1}"
    resumed = run(*flags)
    assert resumed.returncode == 0, resumed.stderr
    assert f"Epoch {reached + 1}/{reached + 1}" in resumed.stdout
    assert f"Epoch {reached}/" not in resumed.stdout


def test_bad_input_is_one_clear_line(npz_path, tmp_path):
    cases = [
        (["--dataset=imagenet"], "unknown dataset 'imagenet'"),
        (["--dataset=none.npz"], "cannot read none.npz"),
        (["--model=vgg"], "value should be one of"),
        (["--epochs=0"], "0 is not a positive integer"),
        (["--num_peers=97"], "num_peers=97"),
        (["--batch_size=97"], "batch_size=97"),
        (["--batch_size=1"], "batch_size=1"),
        (["--decay_epochs=a,b"], "decay_epochs"),
        (["--no_such_flag"], "no_such_flag"),
        (["--initial_model=none.keras"], "no file none.keras"),
        (["--initial_model=README.md"], "README.md is not a .keras"),
        (["cifar10"], "not a flag: cifar10"),
        (["--output_dir=/dev/null/x"], "/dev/null/x"),
    ]
    usual = quick(npz_path, tmp_path)
    check_errors(
        "peernets_tf.train:train",
        [([*usual, *flags], message) for flags, message in cases],
    )


def test_other_images_in_the_same_file(npz_path, tmp_path):
    flags = quick(npz_path, tmp_path, model="lenet5", epochs=1, batch_size=8)
    assert run(*flags).returncode == 0
    arrays = dict(np.load(npz_path))
    arrays["y_train"] = arrays["y_train"][::-1]
    np.savez(npz_path, **arrays)
    process = run(*flags)
    assert process.returncode == 1
    assert "dataset_sha256" in error_line(process)


def test_data_dir_without_the_dataset(tmp_path):
    process = run(
        "--dataset=cifar10",
        f"--data_dir={tmp_path}",
        f"--output_dir={tmp_path / 'run'}",
        # No way out, as on a machine without network.
        https_proxy="http://127.0.0.1:9",
        http_proxy="http://127.0.0.1:9",
        NO_PROXY="",
    )
    assert process.returncode == 1
    assert "--data_dir" in error_line(process)


def test_a_record_that_is_none(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("{}")
    process = run(path, module="peernets_tf.report")
    assert process.returncode == 1
    assert "not a record of a training" in error_line(process)


def test_flagfiles_are_the_recipes_of_the_published_rows():
    """Each published row has its file, which changes nothing of its recipe."""
    code = """
import json, sys
from absl import flags
from peernets_tf import paper, train
found = {}
for dataset, model in paper.ACCURACY:
    flags.FLAGS.unparse_flags()
    for name in list(flags.FLAGS):
        flags.FLAGS[name].unparse()
    path = f"flags/{dataset}_{model}.flags"
    flags.FLAGS([sys.argv[0], f"--flagfile={path}"])
    assert (flags.FLAGS.dataset, flags.FLAGS.model) == (dataset, model), path
    found[path] = {
        name: flag.value
        for name, flag in train._RECIPE.items()
        if flag.value is not None
    }
print(json.dumps(found))
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    for path, changes in json.loads(process.stdout).items():
        # Table 5 names its own N and M.
        table_5 = {"num_peers": 500, "num_graphs": 5}
        is_table_5 = "cifar100_pr_" in path
        assert changes == (table_5 if is_table_5 else {}), path
