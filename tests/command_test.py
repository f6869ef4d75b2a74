import pytest

from peernets_tf import command
from peernets_tf.data import DataError


def fail(error):
    def main(argv):
        raise error

    return command.guarded(main)


@pytest.mark.parametrize(
    "error",
    [DataError("no\n  data"), ValueError("no data"), OSError("no data")],
)
def test_an_error_is_one_line(error, capsys):
    with pytest.raises(SystemExit) as stop:
        fail(error)([])
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: no data\n"


def test_ctrl_c(capsys):
    with pytest.raises(SystemExit) as stop:
        fail(KeyboardInterrupt())([])
    assert stop.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError())([])


def test_success_passes_the_arguments():
    seen = []
    command.guarded(seen.append)(["a", "b"])
    assert seen == [["a", "b"]]
