"""The keys of the challenge's config.json as absl flags."""

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import flags

from madry_challenge import config

# The command that calls `define` owns the flags, and its --help shows them.
flags.disclaim_key_flags()

_Definer = Callable[..., flags.FlagHolder[Any]]
# What defines a flag, and its help.
_FLAGS: dict[str, tuple[_Definer, str]] = {
    "seed": (flags.DEFINE_integer, "Seed of everything drawn."),
    "output_dir": (
        flags.DEFINE_string,
        "Where checkpoints and logs go; a run found there is resumed.",
    ),
    "max_num_training_steps": (flags.DEFINE_integer, "Training steps."),
    "num_checkpoint_steps": (
        flags.DEFINE_integer,
        "Steps between checkpoints.",
    ),
    "training_batch_size": (flags.DEFINE_integer, "Images a training step."),
    "step_size_schedule": (
        flags.DEFINE_list,
        "Learning rates by first step, as in 0:0.1,40000:0.01,60000:0.001.",
    ),
    "weight_decay": (
        flags.DEFINE_float,
        "The gradient of the loss has this times the kernels added.",
    ),
    "momentum": (flags.DEFINE_float, "Momentum of the optimizer."),
    "num_eval_examples": (
        flags.DEFINE_integer,
        "The first test images, in CIFAR-10's own order.",
    ),
    "eval_batch_size": (flags.DEFINE_integer, "Test images attacked at once."),
    "epsilon": (flags.DEFINE_float, "L-infinity radius, of 255."),
    "num_steps": (flags.DEFINE_integer, "Steps of PGD."),
    "step_size": (flags.DEFINE_float, "Length of a step of PGD, of 255."),
    "random_start": (
        flags.DEFINE_bool,
        "Start PGD at a random point of the ball.",
    ),
    "loss_func": (
        flags.DEFINE_string,
        "What PGD makes large: xent, the cross-entropy, or cw, the best wrong "
        "logit minus the right one.",
    ),
    "attack": (flags.DEFINE_string, "The .npy file of adversarial images."),
}
# Flags whose key has another name.
_KEYS = {
    "seed": "tf_random_seed",
    "output_dir": "model_dir",
    "attack": "store_adv_path",
}
# What the attack is.
ATTACK = ("epsilon", "num_steps", "step_size", "random_start", "loss_func")


def define(*names: str) -> Callable[[], config.Config]:
    """Defines `--config` and flags that stand above what it says.

    Args:
        names: flags to define: `seed`, `output_dir`, `attack` (the file), and
            keys of `madry_challenge.config.Config` under their own names.

    Returns:
        A function that gives the `Config` once flags are parsed. It raises
        ValueError if a number is out of range or the file is no configuration,
        OSError if it cannot be read.
    """
    path = flags.DEFINE_string(
        "config", None, "A config.json, the original challenge's or ours."
    )
    holders = {}
    for name in names:
        key = _KEYS.get(name, name)
        define_flag, help_text = _FLAGS[name]
        default = getattr(config.Config, key)
        if key == "step_size_schedule":
            default = ",".join(f"{step}:{rate}" for step, rate in default)
        holders[key] = define_flag(
            name,
            None,
            f"{help_text} Default: the configuration's, or {default}.",
        )

    def read() -> config.Config:
        settings = config.read(path.value) if path.value else config.Config()
        changes = {
            key: holder.value
            for key, holder in holders.items()
            if holder.value is not None
        }
        if "step_size_schedule" in changes:
            changes["step_size_schedule"] = _schedule(
                changes["step_size_schedule"]
            )
        return dataclasses.replace(settings, **changes)

    return read


def _schedule(pairs: list[str]) -> tuple[tuple[int, float], ...]:
    try:
        split = [pair.split(":") for pair in pairs]
        return tuple((int(step), float(rate)) for step, rate in split)
    except ValueError as error:
        raise ValueError(
            f"--step_size_schedule={','.join(pairs)}: write steps and rates "
            "as in 0:0.1,40000:0.01"
        ) from error
