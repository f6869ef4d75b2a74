"""--help: examples, flags, and the numbers of the chosen recipe."""

import re
import subprocess
import sys

import pytest
from commands import ROOT, run_process

import peernets_tf
from peernets_tf import __main__ as overview
from peernets_tf import training


@pytest.mark.parametrize(
    ("arguments", "model", "dataset"),
    [
        ([], "pr_lenet5", "mnist5k"),
        (["--model=resnet32", "--dataset=cifar10"], "resnet32", "cifar10"),
        (["--dataset=cifar100"], "pr_resnet110", "cifar100"),
    ],
)
def test_the_help_of_train_shows_the_recipe(arguments, model, dataset):
    result = run_process(*arguments, "--help", module="peernets_tf.train")
    assert result.status == 0 and result.stderr == ""
    assert "python -m peernets_tf.train --dataset=cifar10" in result.stdout
    _, defaults = result.stdout.split("Defaults of ")
    recipe = training.recipe(model, dataset)
    assert f"--epochs={recipe.epochs}\n" in defaults
    assert f"--learning_rate={recipe.learning_rate}\n" in defaults
    assert f"--num_peers={recipe.num_peers}\n" in defaults
    assert f"--augment={str(recipe.augment).lower()}\n" in defaults


def test_help_needs_no_required_flag_and_lists_values():
    result = run_process("--help", module="peernets_tf.evaluate")
    assert result.status == 0 and result.stderr == ""
    assert "--checkpoint=cifar10_pr_resnet32 --attack=pgd" in result.stdout
    text = " ".join(result.stdout.split())
    assert "One of exact, identity, soft." in text
    assert "--[no]search" in text


def test_a_flag_that_may_be_repeated_says_so_in_our_words():
    result = run_process("--help", module="madry_challenge.compare")
    assert result.status == 0 and result.stderr == ""
    text = " ".join(result.stdout.split())
    assert "May be repeated (default: none). --config" in text


def test_the_package_lists_its_commands(capsys):
    overview.main()
    first, *lines = capsys.readouterr().out.splitlines()
    assert peernets_tf.__version__ in first
    assert len(lines) == 11
    for line in lines:
        assert re.fullmatch(r"  python -m \w+\.\w+ +[A-Z][^:`]+", line)


def test_a_reader_of_the_help_may_stop_early():
    process = subprocess.Popen(
        [sys.executable, "-m", "peernets_tf.train", "--help"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait() == 141
