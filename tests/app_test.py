"""How a command ends: exit status, one line for users, tracebacks for bugs."""

import dataclasses
import sys

import pytest
from absl import flags

from peernets_tf.cli import app
from peernets_tf.errors import AttackError, DataError, TrainingError, UserError

NUMBER = flags.DEFINE_integer("app_test_number", 3, "A flag of this module.", 0)


def command(run=lambda config, provenance: None, parse=lambda arguments: None):
    return app.Command(module="some.module", parse=parse, run=run)


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.fixture(autouse=True)
def parsed():
    flags.FLAGS.mark_as_parsed()


ONE_LINERS = [
    UserError("no\n  data"),
    DataError("no data"),
    AttackError("no data"),
    TrainingError("no data"),
    OSError("no data"),
]


@pytest.mark.parametrize("error", [*ONE_LINERS, ValueError("no data")])
def test_a_wrong_flag_is_one_line(error, capsys):
    assert app.execute(command(parse=failing(error)), ["c"]) == 1
    assert capsys.readouterr().err == "error: no data\n"


@pytest.mark.parametrize("error", ONE_LINERS)
def test_what_a_user_can_mend_is_one_line(error, capsys):
    assert app.execute(command(failing(error)), ["c"]) == 1
    assert capsys.readouterr().err == "error: no data\n"


@pytest.mark.parametrize("error", [ValueError("x"), ZeroDivisionError()])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        app.execute(command(failing(error)), ["c"])


def test_ctrl_c(capsys):
    assert app.execute(command(failing(KeyboardInterrupt())), ["c"]) == 130
    assert "same command again to resume" in capsys.readouterr().err


def test_a_wrong_flag_of_absl_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        app.parse_flags(["c", "--no_such_flag"])
    assert stop.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1


def test_the_configuration_and_the_provenance_reach_the_command(monkeypatch):
    seen = []

    def parse(arguments):
        return dataclasses.make_dataclass("Config", ["rest"])(arguments)

    # `parse` is of this module, whose flags are the command's own.
    monkeypatch.setattr(sys, "argv", ["c", "--app_test_number=4", "a b"])
    done = command(lambda *arguments: seen.append(arguments), parse)
    assert app.execute(done, ["c", "a b"]) == 0
    ((config, provenance),) = seen
    assert config.rest == ["a b"]
    assert provenance.command == (
        "python -m some.module --app_test_number=4 'a b'"
    )
    assert provenance.flags == {"app_test_number": NUMBER.value}
    assert provenance.seed == 0


def test_arguments_are_refused_where_none_are_taken():
    app.refuse_arguments([])
    with pytest.raises(UserError, match="not a flag: cifar10"):
        app.refuse_arguments(["cifar10"])
