"""What `--help` prints."""

import textwrap
from collections.abc import Sequence
from typing import Any

from absl import flags

# absl ends the help of a flag that may be repeated with this.
_REPEAT = ";\n    repeat this option to specify a list of values"
_REQUESTS = {
    f"{dashes}{name}"
    for dashes in ("-", "--")
    for name in ("help", "helpshort", "helpfull", "h", "?")
}


def is_asked(argv: Sequence[str]) -> bool:
    """Returns whether a command line asks for help."""
    return not _REQUESTS.isdisjoint(argv[1:])


def without_request(argv: Sequence[str]) -> list[str]:
    """Returns the command line without its request for help."""
    return [argument for argument in argv if argument not in _REQUESTS]


def text(
    description: str, key_flags: Sequence[flags.Flag[Any]], details: str
) -> str:
    """Returns the help of a command.

    Args:
        description: str, the docstring of the command, with its examples.
        key_flags: sequence of the command's flags.
        details: str, what stands at the end.
    """
    lines = [description.strip(), "", "Flags:"]
    for flag in sorted(key_flags, key=lambda flag: flag.name):
        lines.append(f"  {_form(flag)}")
        lines += textwrap.wrap(
            _description(flag),
            width=80,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
        )
    lines += [
        "  --flagfile=FILE",
        "      Read flags from a file: a path, or a name in the package such",
        "      as table4_resnet32.",
    ]
    if details:
        lines += ["", details]
    return "\n".join(lines)


def _description(flag: flags.Flag[Any]) -> str:
    """Returns a flag's help, with the values of an enumeration."""
    description = (flag.help or "").removesuffix(_REPEAT)
    if isinstance(flag, flags.EnumFlag):
        values = flag.parser.enum_values
        # absl puts the values first.
        description = description.removeprefix(f"<{'|'.join(values)}>: ")
        description += f" One of {', '.join(values)}."
    return description


def _form(flag: flags.Flag[Any]) -> str:
    """Returns how a flag is written."""
    if flag.boolean:
        return f"--[no]{flag.name}"
    return f"--{flag.name}={flag.name.upper()}"
