"""Flag files by name, and one line for those that cannot be read."""

import re

import pytest
from commands import ROOT

from peernets_tf import datasets, models
from peernets_tf.cli import flag_files
from peernets_tf.errors import UserError


@pytest.mark.parametrize("name", ["table4_resnet32", "table4_resnet32.flags"])
def test_a_name_finds_the_packaged_file(name):
    expected = str(ROOT / "flags" / "table4_resnet32.flags")
    assert flag_files.find(name) == expected
    for argv in (
        ["c", f"--flagfile={name}", "--seed=1"],
        ["c", "--flagfile", name, "--seed=1"],
        ["c", f"-flagfile={name}", "--seed=1"],
    ):
        resolved = flag_files.resolve(argv)
        assert resolved[-1] == "--seed=1"
        assert resolved[-2].endswith(expected)


def test_a_path_stays(tmp_path):
    path = tmp_path / "mine.flags"
    path.write_text("--seed=2")
    assert flag_files.find(str(path)) == str(path)


def test_what_cannot_be_read_is_named(tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for value, message in (
        ("no_such", "one of the flag files.*table4_resnet32.*no_such"),
        (str(tmp_path), "must be a file"),
        (str(binary), "must be text"),
        ("a\0b", "must be a file"),
    ):
        with pytest.raises(UserError, match=message):
            flag_files.resolve(["c", f"--flagfile={value}"])


def test_short_files_are_those_that_exist():
    found = flag_files.short_files("mnist", "lenet5")
    assert found == ["short_mnist_lenet5"]
    assert flag_files.short_files("cifar100", "resnet110") == []


@pytest.mark.parametrize("dataset", datasets.DATASET_NAMES)
@pytest.mark.parametrize("model", models.MODEL_NAMES)
def test_short_files_need_nothing_but_each_other(dataset, model):
    made = set()
    for name in flag_files.short_files(dataset, model):
        text = (flag_files.FOLDER / f"{name}.flags").read_text()
        flags = re.findall("^--([a-z_0-9]+)=(.*)$", text, re.MULTILINE)
        for flag, value in flags:
            if flag == "output_dir":
                made.add(f"{value}/model.keras")
            else:
                assert not value.startswith("runs/") or value in made


def test_what_makes_a_model():
    for name in ("short_cifar10_start", "cifar10_resnet32"):
        made_by = flag_files.maker(f"runs/{name}/model.keras")
        assert made_by == ("peernets_tf.train", name)
    for name in ("magnet_cifar10_resnet32", "magnet_mnist_lenet5"):
        made_by = flag_files.maker(f"runs/{name}/model.keras")
        assert made_by == ("peernets_tf.defend", name)
    assert flag_files.maker("runs/table6/model.keras") is None
    assert flag_files.maker("model.keras") is None
    assert flag_files.maker("") is None


def test_each_model_in_a_flag_file_is_made_by_another():
    """So that the error about a missing model says how to make it."""
    for name in flag_files.names():
        text = (flag_files.FOLDER / f"{name}.flags").read_text()
        pattern = "^--(?:checkpoint|initial_model)=(runs/.*)$"
        for path in re.findall(pattern, text, re.MULTILINE):
            assert flag_files.maker(path), f"{name}: {path}"


@pytest.mark.parametrize("text", ["--epochs=2\n-", "\0\0\0", "epochs=2"])
def test_a_line_that_is_no_flag_is_named(text, tmp_path):
    path = tmp_path / "some.flags"
    path.write_text(f"# A comment\n\n{text}\n")
    with pytest.raises(UserError, match=r"in line \d of .*some.flags"):
        flag_files.find(str(path))
