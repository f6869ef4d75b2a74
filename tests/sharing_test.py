"""Several shards of an evaluation find what one process finds."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import sample_records
import suite_models
from commands import ROOT, check_errors, run_command, run_process
from small_models import make_linear, make_peernet

from peernets_tf import datasets, evaluation, records
from peernets_tf.attacks import UniversalGradient
from peernets_tf.errors import AttackError, IncompleteError, UserError
from peernets_tf.evaluation import (
    AttackConfig,
    EvaluationConfig,
    Shard,
    SuiteConfig,
    sharing,
    suites,
)
from peernets_tf.evaluation.target import Target

MODULE = "peernets_tf.evaluate"
PGD = AttackConfig(name="pgd", epsilons=(0.34, 0.36), options={"steps": 2})
# Eight batches, the last of two images.
TINY = {"batch_size": 4, "seed": 3}


@pytest.fixture(scope="module")
def linear():
    return make_linear()


@pytest.fixture(scope="module")
def whole(linear, stripes, tmp_path_factory):
    """The folder and the record of one process."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, evaluate(linear, stripes, folder)


def evaluate(model, dataset, folder, shard="1/1", attack=PGD):
    return evaluation.evaluate(
        model,
        dataset,
        EvaluationConfig(
            attack=attack,
            output_dir=str(folder),
            shard=Shard.parse(shard),
            **TINY,
        ),
        checkpoint="model.keras",
        provenance=sample_records.make_provenance(seconds=None),
    )


def rows(folder):
    """The rows of all logs, in one order; each batch has one."""
    lines = [
        line
        for path in folder.glob("batches*.jsonl")
        for line in path.read_text().splitlines()
    ]
    keys = [json.loads(line)["key"] for line in lines]
    assert len(set(keys)) == len(keys)
    return sorted(lines)


def numbers(path):
    """The numbers of the batches of a log."""
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    return {int(key.rpartition("/")[2]) for key in keys}


def test_one_after_the_other(linear, stripes, whole, tmp_path):
    with pytest.raises(IncompleteError) as error:
        evaluate(linear, stripes, tmp_path, "2/3")
    assert str(error.value) == (
        f"Shard 2/3 has ended; 3 of 8 batches of {tmp_path} are complete. "
        "Batches of --shard=1/3, --shard=3/3 are missing: start what is not "
        "running, or this shard again if all have ended. The last shard to end "
        "writes record.json"
    )
    with pytest.raises(
        IncompleteError, match="5 of 8 .* of --shard=1/3 are missing"
    ):
        evaluate(linear, stripes, tmp_path, "3/3")
    assert not (tmp_path / "record.json").exists()
    record = evaluate(linear, stripes, tmp_path, "1/3")
    assert records.read(str(tmp_path / "record.json")) == record
    assert record.cases == whole[1].cases
    assert 0 < record.cases[0].fooled < record.cases[1].fooled < 30
    assert rows(tmp_path) == rows(whole[0])
    assert numbers(tmp_path / "batches-2-of-3.jsonl") == {1, 4, 7}
    # Shards have no part in the identity.
    assert (
        json.loads((tmp_path / "run.json").read_text())["identity"]
        == (json.loads((whole[0] / "run.json").read_text())["identity"])
    )


def test_a_killed_shard_goes_on(linear, stripes, whole, tmp_path):
    def ends(shard):
        with pytest.raises(IncompleteError):
            evaluate(linear, stripes, tmp_path, shard)

    ends("1/2")
    log = tmp_path / "batches-1-of-2.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    # Killed within the row of its third batch of attacked images.
    log.write_text("".join(lines[:6]) + lines[6][:30])
    # The other shard does not repair that file: its owner may be writing it.
    cut = log.read_text()
    with pytest.raises(IncompleteError, match="of --shard=1/2 are missing"):
        evaluate(linear, stripes, tmp_path, "2/2")
    assert log.read_text() == cut
    record = evaluate(linear, stripes, tmp_path, "1/2")
    assert log.read_text() == "".join(lines)
    assert record.cases == whole[1].cases
    assert rows(tmp_path) == rows(whole[0])


def test_no_batch_is_attacked_twice(
    linear, stripes, whole, tmp_path, monkeypatch
):
    attacked = []
    perturb = Target.perturb

    def noting(self, attack, strength, number, batch):
        attacked.append((strength.epsilon, number))
        return perturb(self, attack, strength, number, batch)

    monkeypatch.setattr(Target, "perturb", noting)
    for shard in ("1/2", "2/3"):
        with pytest.raises(IncompleteError):
            evaluate(linear, stripes, tmp_path, shard)
    # Shard 1 of 2 has the batches 0, 2, 4 and 6; shard 2 of 3 adds 1 and 7.
    assert len(attacked) == 2 * (4 + 2)
    # A process without a shard does the rest.
    record = evaluate(linear, stripes, tmp_path)
    assert numbers(tmp_path / "batches.jsonl") == {3, 5}
    assert len(attacked) == len(set(attacked)) == 2 * 8
    assert record.cases == whole[1].cases
    assert rows(tmp_path) == rows(whole[0])


def test_one_record(linear, stripes, tmp_path):
    with pytest.raises(IncompleteError):
        evaluate(linear, stripes, tmp_path, "1/2")
    record = evaluate(linear, stripes, tmp_path, "2/2")
    before = (tmp_path / "record.json").read_bytes()
    for shard in ("1/2", "2/2"):
        assert evaluate(linear, stripes, tmp_path, shard) == record
    assert (tmp_path / "record.json").read_bytes() == before
    (tmp_path / "record.json").write_text("damaged")
    again = evaluate(linear, stripes, tmp_path)
    assert again.cases == record.cases
    assert records.read(str(tmp_path / "record.json")) == again


def test_more_shards_than_batches(linear, stripes, whole, tmp_path):
    with pytest.raises(IncompleteError, match="0 of 8 .*=4/12, 4 more"):
        evaluate(linear, stripes, tmp_path, "9/12")
    for index in range(1, 8):
        with pytest.raises(IncompleteError, match=f"{index} of 8 batches"):
            evaluate(linear, stripes, tmp_path, f"{index}/12")
    record = evaluate(linear, stripes, tmp_path, "8/12")
    assert record.cases == whole[1].cases


def test_who_may_write_to_the_folder(linear, stripes, tmp_path):
    in_use = f"{tmp_path} is in use by "
    with records.lock_folder(str(tmp_path), "1-of-2"):
        with pytest.raises(UserError, match=f"{in_use}process {os.getpid()}"):
            evaluate(linear, stripes, tmp_path, "1/2")
        with pytest.raises(UserError, match=f"{in_use}a shard of the same run"):
            evaluate(linear, stripes, tmp_path)
        with pytest.raises(IncompleteError):
            evaluate(linear, stripes, tmp_path, "2/2")
    with (
        records.lock_folder(str(tmp_path)),
        pytest.raises(UserError, match=f"{in_use}process {os.getpid()}"),
    ):
        evaluate(linear, stripes, tmp_path, "1/2")


def test_logs_of_shards_are_checked(linear, stripes, tmp_path):
    with pytest.raises(IncompleteError):
        evaluate(linear, stripes, tmp_path, "1/2")
    log = tmp_path / "batches-1-of-2.jsonl"
    text = log.read_text()
    for damaged, message in (
        ("not JSON\n", "line 1"),
        (text.replace('"run": "', '"run": "other'), "line 1 is of another run"),
        (re.sub('"changed": .', '"changed": 0.5', text), "the row of pgd_"),
    ):
        log.write_text(damaged)
        with pytest.raises(UserError, match=f"1-of-2.jsonl .*{message}"):
            evaluate(linear, stripes, tmp_path, "2/2")


def test_a_universal_perturbation_is_fitted_once(
    linear, stripes, tmp_path, monkeypatch
):
    attack = AttackConfig(
        name="universal.gradient",
        rhos=(0.9,),
        train_size=60,
        options={"passes": 8},
    )
    expected = evaluate(linear, stripes, tmp_path / "whole", attack=attack)
    fits = []
    iterate = UniversalGradient.iterate

    def noting(self, *args, **kwargs):
        fits.append(kwargs["seed"])
        return iterate(self, *args, **kwargs)

    monkeypatch.setattr(UniversalGradient, "iterate", noting)
    folder = tmp_path / "shards"
    with pytest.raises(IncompleteError):
        evaluate(linear, stripes, folder, "1/2", attack)
    record = evaluate(linear, stripes, folder, "2/2", attack)
    assert fits == [TINY["seed"]]
    assert record.cases == expected.cases
    assert record.cases[0].changed > 0
    assert rows(folder) == rows(tmp_path / "whole")
    name = "perturbation_rho_0.9.npy"
    np.testing.assert_array_equal(
        np.load(folder / name), np.load(tmp_path / "whole" / name)
    )


def test_a_softmax_is_refused_by_each_shard(tmp_path):
    images, labels = suite_models.make_images(8)
    path = str(tmp_path / "data.npz")
    arrays = {"x_train": images, "y_train": labels}
    np.savez(path, **arrays, x_test=images, y_test=labels)
    dataset = datasets.load(path)
    model = suite_models.plant("softmax")
    for index in (1, 2):
        with pytest.raises(AttackError, match="softmax"):
            evaluate(model, dataset, tmp_path / "run", f"{index}/2")


def evaluate_suite(model, dataset, folder, shard="1/1"):
    return evaluation.evaluate_suite(
        model,
        dataset,
        SuiteConfig(
            suite="adaptive",
            epsilon=0.353,
            budget=0.02,
            output_dir=str(folder),
            shard=Shard.parse(shard),
            **TINY,
        ),
        checkpoint="model.keras",
        provenance=sample_records.make_provenance(seconds=None),
    )


def test_a_shard_of_a_suite_waits(
    linear, stripes, tmp_path, monkeypatch, capsys
):
    """Another shard is played: its rows appear one by one while we wait."""
    kept = ("noise", "fgsm", "pgd", "square")
    steps = [s for s in suites.SUITES["adaptive"] if s.name in kept]
    monkeypatch.setitem(suites.SUITES, "adaptive", tuple(steps))
    expected = evaluate_suite(linear, stripes, tmp_path / "whole")
    attacked = [case.attacked for case in expected.result.cases]
    # Batches of the last attack are of images that all others left.
    assert 0 < attacked[-1] < attacked[0]
    folder = tmp_path / "shards"
    log = folder / "batches-2-of-2.jsonl"
    theirs = [
        line
        for line in rows(tmp_path / "whole")
        if int(json.loads(line)["key"].rpartition("/")[2]) % 2
    ]
    looks = []

    def look(seconds):
        looks.append(seconds)
        with open(log, "a", encoding="utf-8") as file:
            file.write(theirs[len(looks) - 1] + "\n")

    monkeypatch.setattr(sharing, "time", types.SimpleNamespace(sleep=look))
    with pytest.raises(
        IncompleteError, match="of --shard=2/2 are missing"
    ) as error:
        evaluate_suite(linear, stripes, folder, "1/2")
    assert " batches of square are complete" in str(error.value)
    printed = capsys.readouterr().out
    assert "Waiting for --shard=2/2: 4 of 8 batches of unperturbed" in printed
    assert not (folder / "record.json").exists()
    # All that it waited for, and nothing of the last attack.
    assert len(looks) == sum("square" not in line for line in theirs)
    record = evaluate_suite(linear, stripes, folder, "2/2")
    assert record.result == expected.result
    assert rows(folder) == rows(tmp_path / "whole")


@pytest.fixture
def command(npz_path, tmp_path):
    """Flags that name a model and a data set, and then others."""

    def flags(model, folder, *more):
        path = tmp_path / f"{model.name}.keras"
        model.save(path)
        usual = [f"--checkpoint={path}", f"--dataset={npz_path}"]
        output_dir = f"--output_dir={tmp_path / folder}"
        return [*usual, "--batch_size=4", output_dir, *more]

    return flags


def run(*flags):
    result = run_command(MODULE, *flags)
    assert result.status == 0, result.stderr
    return result.stdout


def test_the_command(command, stripes, tmp_path):
    """Both backward passes are complete before either is printed."""
    flags = command(
        make_peernet(stripes), "run", "--attack=fgsm", "--test_size=8"
    )
    first = run(*flags, "--shard=1/2")
    for backward in ("exact", "identity"):
        folder = tmp_path / "run" / backward
        assert (
            f"Shard 1/2 has ended; 1 of 2 batches of {folder} are complete"
        ) in first
    assert "| attack" not in first
    second = run(*flags, "--shard=2/2")
    assert "judge the model by the lower accuracy" in second
    paths = [
        str(tmp_path / "run" / backward / "record.json")
        for backward in ("exact", "identity")
    ]
    assert records.report(paths) in second
    assert records.read(paths[0]).provenance.flags["shard"] == "1/2"


def test_bad_flags_are_one_line(command, linear, tmp_path):
    flags = command(linear, "run", "--attack=fgsm")
    cases = [
        (["--shard=3/2"], "--shard must be i/n"),
        (["--shard=0/2"], "--shard must be i/n"),
        (["--shard=2"], "--shard must be i/n"),
        (["--shard="], "--shard must be i/n"),
        (["--workers=3", "--shard=1/2"], "leave out --workers or --shard"),
        (["--workers=2", "--shard=1/2"], "leave out --workers or --shard"),
    ]
    check_errors(MODULE, cases, usual=flags)
    assert not (tmp_path / "run").exists()


def start(*flags):
    """Starts a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for_a_batch(process, log):
    """Waits until a log has a batch, or a process has ended."""
    while process.poll() is None and not (log.exists() and log.stat().st_size):
        time.sleep(0.02)


def assert_shards_equal_the_whole(folder, field):
    """Compares a field of the records, and all rows, of two runs."""
    found, expected = (
        records.read(str(folder / name / "record.json"))
        for name in ("shards", "whole")
    )
    assert getattr(found, field) == getattr(expected, field)
    assert rows(folder / "shards") == rows(folder / "whole")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_two_processes_of_which_one_is_killed(command, linear, tmp_path):
    flags = ["--attack=pgd", "--epsilon=0.34,0.36", "--steps=500"]
    shards = command(linear, "shards", *flags)
    killed = start(*shards, "--shard=2/2")
    log = tmp_path / "shards" / "batches-2-of-2.jsonl"
    wait_for_a_batch(killed, log)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert 0 < log.read_text().count("\n") < 3 * 4
    again = start(*shards, "--shard=2/2")
    here = run(*shards, "--shard=1/2")
    there, _ = again.communicate()
    assert again.returncode == 0
    # The last one to end prints the report; both may be the last.
    for printed in (here, there):
        assert ("| attack" in printed) != ("has ended" in printed)
    assert "| attack" in here + there
    whole = command(linear, "whole", *flags)
    run(*whole)
    assert_shards_equal_the_whole(tmp_path, "cases")


@pytest.mark.slow
def test_two_processes_run_a_suite(command, linear, tmp_path):
    flags = ["--suite=rand", "--epsilon=0.353", "--budget=0.02"]
    shards = command(linear, "shards", *flags)
    other = start(*shards, "--shard=2/2")
    here = run(*shards, "--shard=1/2")
    there, _ = other.communicate()
    assert other.returncode == 0
    assert "Waiting for --shard=" in here + there
    whole = command(linear, "whole", *flags)
    run(*whole)
    assert_shards_equal_the_whole(tmp_path, "result")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks into /proc")
def test_workers_find_what_one_process_finds(command, linear, tmp_path):
    """One of them is killed after its first batch, and is started again."""
    flags = ["--attack=pgd", "--epsilon=0.34,0.36", "--steps=500"]
    run(*command(linear, "whole", *flags))
    started = start(*command(linear, "shards", *flags), "--workers=2")
    wait_for_a_batch(started, tmp_path / "shards" / "batches-2-of-2.jsonl")
    os.kill(
        process_with(str(tmp_path / "shards"), "--shard=2/2"), signal.SIGKILL
    )
    printed, _ = started.communicate()
    assert started.returncode == 0
    assert_shards_equal_the_whole(tmp_path, "cases")
    lines = printed.splitlines()
    assert "[1/2] unperturbed images" in lines
    assert "[2/2] was killed (signal 9) and is started again" in lines
    # The report comes last, and once.
    assert sum("| attack" in line for line in lines) == 1
    assert not any("has ended" in line for line in lines)
    path = str(tmp_path / "shards" / "record.json")
    assert printed.endswith(records.report([path]) + "\n")


@pytest.mark.slow
def test_workers_report_both_backward_passes_of_a_peernet(
    command, stripes, tmp_path
):
    """The process that starts them loads the model only for the report."""
    flags = ["--attack=fgsm", "--test_size=8", "--workers=2"]
    arguments = command(make_peernet(stripes), "run", *flags)
    result = run_process(*arguments, module=MODULE)
    assert result.status == 0, result.stderr
    paths = [
        str(tmp_path / "run" / backward / "record.json")
        for backward in ("exact", "identity")
    ]
    assert records.report(paths) in result.stdout
    assert result.stdout.count("judge the model by the lower accuracy") == 1
    for path in paths:
        provenance = records.read(path).provenance
        assert provenance.command.endswith("--workers=2")
        assert provenance.flags["workers"] == 2
        assert provenance.flags["shard"] is None


def process_with(*words):
    """Returns the id of the process whose command line holds all words."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if all(word.encode() in path.read_bytes() for word in words):
                return int(path.parent.name)
    raise AssertionError(f"no process has {words}")
