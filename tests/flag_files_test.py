"""Flag files by name, and one line for those that cannot be read."""

import pytest
from commands import ROOT

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
    assert flag_files.short_file("mnist", "lenet5") == "short_mnist_lenet5"
    assert flag_files.short_file("cifar100", "resnet110") is None


@pytest.mark.parametrize("text", ["--epochs=2\n-", "\0\0\0", "epochs=2"])
def test_a_line_that_is_no_flag_is_named(text, tmp_path):
    path = tmp_path / "some.flags"
    path.write_text(f"# A comment\n\n{text}\n")
    with pytest.raises(UserError, match=r"in line \d of .*some.flags"):
        flag_files.find(str(path))
