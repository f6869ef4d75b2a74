"""Command-line flags for the keys of config.json."""

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import flags

from madry_challenge import config
from peernets_tf.errors import UserError, naming

# The command that calls `define` owns the flags, and its --help shows them.
flags.disclaim_key_flags()

# The flags that set the attack.
ATTACK = ("epsilon", "num_steps", "step_size", "random_start", "loss_func")
_SCHEDULE = "step_size_schedule"
_FIELDS = {
    field.metadata["flag"] or field.name: field
    for field in dataclasses.fields(config.Config)
}
_DEFINERS: dict[type, Callable[..., flags.FlagHolder[Any]]] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_list,
}


def define(*names: str) -> Callable[[], config.Config]:
    """Defines --config and flags that override keys of that file.

    Args:
        names: names of flags: keys of `madry_challenge.config.Config`, or
            `seed`, `output_dir` or `attack` (the file of adversarial images).

    Returns:
        A function that returns the `Config` after flags are parsed. It raises a
        UserError if the file cannot be read or a value is out of range.
    """
    path = flags.DEFINE_string(
        "config",
        None,
        "A config.json of the original challenge, or one that this package "
        "wrote (default: the values of the original).",
    )
    holders = {_FIELDS[name].name: _define_flag(name) for name in names}

    def read() -> config.Config:
        settings = config.Config()
        if path.value:
            with naming("--config"):
                settings = config.read(path.value)
        changes = {
            key: holder.value
            for key, holder in holders.items()
            if holder.value is not None
        }
        if _SCHEDULE in changes:
            changes[_SCHEDULE] = _parse_schedule(changes[_SCHEDULE])
        try:
            return dataclasses.replace(settings, **changes)
        except UserError as error:
            # Errors of a `Config` begin with a key.
            key, _, rest = str(error).partition(" ")
            if key in changes:
                raise UserError(f"--{holders[key].name} {rest}") from error
            raise

    return read


def _define_flag(name: str) -> flags.FlagHolder[Any]:
    field = _FIELDS[name]
    description: str = field.metadata["description"]
    default: Any = field.default
    if field.name == _SCHEDULE:
        default = ",".join(f"{step}:{rate}" for step, rate in default)
    return _DEFINERS[type(field.default)](
        name,
        None,
        f"{description} (default: that of --config, or {default}).",
    )


def _parse_schedule(pairs: list[str]) -> tuple[tuple[int, float], ...]:
    try:
        split = [pair.split(":") for pair in pairs]
        return tuple((int(step), float(rate)) for step, rate in split)
    except ValueError as error:
        raise UserError(
            f"--{_SCHEDULE} must be steps and learning rates. Received: "
            f"{','.join(pairs)}. Write them as in 0:0.1,40000:0.01"
        ) from error
