"""How a command ends: exit status, one line for users, tracebacks for bugs."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest
from absl import flags
from absl import logging as absl_logging
from sample_records import make_provenance

from peernets_tf import records
from peernets_tf.cli import app
from peernets_tf.errors import AttackError, DataError, TrainingError, UserError

ROOT = pathlib.Path(__file__).resolve().parent.parent
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


def test_what_a_file_holds_cannot_control_a_terminal(tmp_path, capsys):
    key = "\x1b]0;owned\x07\x9b2J\u202e\ud800"
    provenance = make_provenance()
    records.claim(str(tmp_path), {key: 1}, provenance)

    def claim(*_):
        records.claim(str(tmp_path), {key: 2}, provenance)

    assert app.execute(command(claim), ["c"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert r"\x1b]0;owned\x07\x9b2J\u202e\ud800=1" in line


def test_a_command_without_keras_gets_no_provenance(monkeypatch):
    monkeypatch.setattr(app.lazy, "check_backend", failing(UserError("Keras")))
    seen = []
    for needs_keras in (False, True):
        done = app.Command(
            module="some.module",
            parse=lambda arguments, needs=needs_keras: needs,
            run=lambda config, provenance: seen.append(provenance),
            needs_keras=lambda config: config,
        )
        assert app.execute(done, ["c"]) == needs_keras
    assert seen == [None]


def test_ctrl_c(capsys):
    assert app.execute(command(failing(KeyboardInterrupt())), ["c"]) == 130
    assert "same command again to resume" in capsys.readouterr().err


# Without an immediate end, TensorFlow waits for the thread of the iterator, and
# the thread for Python, which waits for TensorFlow.
_FAILS_WHILE_READING = """
import builtins
import sys
import time
import tensorflow as tf
from peernets_tf.cli import app
from peernets_tf.errors import UserError

kept = []


def generate():
    yield 0
    while True:
        time.sleep(0.01)


def run(config, provenance):
    errors = {"UserError": UserError, **vars(builtins)}
    data = tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec((), tf.int32)
    )
    kept.append(iter(data.prefetch(1)))
    next(kept[0])
    raise errors[sys.argv[1]]("what failed")


app.main(
    app.Command(
        module="some.module",
        parse=lambda arguments: None,
        run=run,
        needs_keras=lambda config: False,
    )
)
"""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        ("KeyboardInterrupt", 130, "same command again to resume"),
        ("UserError", 1, "error: what failed"),
        ("RuntimeError", 1, "Traceback"),
        ("BrokenPipeError", 141, ""),
    ],
)
def test_a_failure_ends_a_process_that_still_reads_data(error, status, message):
    ended = subprocess.run(
        [sys.executable, "-c", _FAILS_WHILE_READING, error],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == status
    assert message in ended.stderr


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


def test_ctrl_c_while_keras_is_imported_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(app.lazy, "import_layers", failing(KeyboardInterrupt()))
    assert app.execute(command(), ["c"]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_what_keras_says_while_it_starts_is_hidden(monkeypatch, capfd):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    with app.quiet.starting_tensorflow():
        os.write(2, b"chatter")
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"
    with pytest.raises(RuntimeError), app.quiet.starting_tensorflow():
        os.write(2, b"a reason")
        raise RuntimeError
    assert capfd.readouterr().err == "a reason"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with app.quiet.starting_tensorflow():
        os.write(2, b"asked for")
    assert capfd.readouterr().err == "asked for"


@pytest.mark.parametrize("asked", [False, True])
def test_a_command_logs_errors_only_unless_asked(monkeypatch, asked):
    flag = flags.FLAGS["verbosity"]
    monkeypatch.setattr(flag, "present", int(asked))
    # TensorFlow chooses this level when it is imported.
    absl_logging.set_verbosity(absl_logging.INFO)
    assert app.execute(command(), ["c"]) == 0
    expected = absl_logging.INFO if asked else absl_logging.ERROR
    assert absl_logging.get_verbosity() == expected
