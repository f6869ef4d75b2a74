"""Lists the commands: `python -m peernets_tf`."""

import ast
import importlib.util
import pathlib

import peernets_tf

_COMMANDS = (
    "peernets_tf.train",
    "peernets_tf.defend",
    "peernets_tf.evaluate",
    "peernets_tf.explain",
    "peernets_tf.report",
    "peernets_tf.publish",
    "madry_challenge.train",
    "madry_challenge.evaluate",
    "madry_challenge.compare",
    "madry_challenge.run_attack",
    "madry_challenge.import_checkpoint",
)


def _summary(module: str) -> str:
    """Returns the first words of a module's docstring, without importing it."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    source = pathlib.Path(spec.origin).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split(": `")[0]


def main() -> None:
    """Prints each command with what it does, and the version."""
    print(f"peernets-tf {peernets_tf.__version__}. Commands (all take --help):")
    for module in _COMMANDS:
        print(f"  python -m {module:34s}{_summary(module)}")


if __name__ == "__main__":
    main()
