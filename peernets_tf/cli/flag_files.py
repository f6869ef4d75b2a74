"""Flag files by name: `--flagfile=table4_resnet32`."""

import os
import pathlib
import re
from typing import NamedTuple

from peernets_tf.errors import UserError

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# A wheel holds the checkout's folder `flags` inside the package.
FOLDER = next(
    folder
    for folder in (_PACKAGE / "flag_files", _PACKAGE.parent / "flags")
    if folder.is_dir() or folder.name == "flags"
)
# A flag, a comment or an empty line.
_LINE = re.compile(r"\s*(--?\w|#|//|$)")
_OPTIONS = ("--flagfile", "-flagfile")


def names() -> list[str]:
    """Returns the names of the packaged flag files, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.flags"))


def resolve(argv: list[str]) -> list[str]:
    """Returns a command line whose flag files are paths that can be read.

    Args:
        argv: list of str, the name of the program and its arguments.

    Raises:
        UserError: if a flag file is missing, a folder or not text.
    """
    resolved: list[str] = []
    for argument in argv:
        option, equals, value = argument.partition("=")
        if option in _OPTIONS and equals:
            argument = f"{option}={find(value)}"
        elif resolved and resolved[-1] in _OPTIONS:
            argument = find(argument)
        resolved.append(argument)
    return resolved


def find(name_or_path: str) -> str:
    """Returns the path of a flag file.

    Args:
        name_or_path: str, a path, or the name of a packaged flag file with or
            without its suffix.

    Raises:
        UserError: if it is missing, a folder or not text, or a line of it is no
            flag.
    """
    path = name_or_path
    name = name_or_path.removesuffix(".flags")
    if name in names() and not os.path.isfile(path):
        path = str(FOLDER / f"{name}.flags")
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            "--flagfile must be a path or one of the flag files "
            f"{', '.join(names())}. Received: {name_or_path}"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            "--flagfile must be text, with one flag in each line. Received: "
            f"{name_or_path}, which is not UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        # ValueError: a path with a zero byte.
        raise UserError(
            f"--flagfile must be a file with one flag in each line. Received: "
            f"{name_or_path!r} ({error})"
        ) from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not _LINE.match(line):
            raise UserError(
                "--flagfile must hold one flag in each line, as in --epochs=2. "
                f"Received: {line[:40]!r} in line {number} of {name_or_path}"
            )
    return path


def short_files(dataset: str, model: str) -> list[str]:
    """Returns the names of the flag files of the short training of a model.

    They are in the order in which to run them: the first may train the model
    that the second starts from. Empty if there is no short training.
    """
    name = f"short_{dataset}_{model}"
    if name not in names():
        return []
    start = maker(_flags_in(name).get("initial_model", ""))
    return [start.name, name] if start else [name]


class Maker(NamedTuple):
    """What makes a model: `python -m {module} --flagfile={name}`."""

    module: str
    name: str


def maker(path: str) -> Maker | None:
    """Returns the command and the packaged flag file that make a model, if any.

    Args:
        path: str, the model's .keras file.
    """
    folder = os.path.dirname(path)
    for name in names():
        own = _flags_in(name)
        if own.get("output_dir") != folder:
            continue
        # Flag files of evaluations have an attack and a checkpoint.
        if "model" in own:
            return Maker("peernets_tf.train", name)
        if "attack" not in own and "checkpoint" in own:
            return Maker("peernets_tf.defend", name)
    return None


def _flags_in(name: str) -> dict[str, str]:
    """Returns the flags of a packaged flag file."""
    lines = (FOLDER / f"{name}.flags").read_text(encoding="utf-8").splitlines()
    # A flag such as --search has no value.
    parts = [line[2:].partition("=") for line in lines if line[:2] == "--"]
    return {name: value for name, _, value in parts}
