"""The challenge's configuration: what its config.json holds."""

import dataclasses
import json
import math
from typing import Any

from peernets_tf import results

LOSSES = {"xent": "cross_entropy", "cw": "margin"}
# The types that a key may have, by that of its default.
_KINDS: dict[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
}
# Keys of the original's files that name what ours has flags for, or lacks.
_OTHER_KEYS = {
    "_comment",
    "data_path",
    "eval_on_cpu",
    "np_random_seed",
    "num_output_steps",
    "num_summary_steps",
    "random_seed",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Names and defaults of the challenge's config.json; pixels are 0-255.

    Attributes:
        model_dir: str, the folder of checkpoints.
        tf_random_seed: int, the seed of everything drawn.
        max_num_training_steps: int.
        num_checkpoint_steps: int, steps between checkpoints.
        training_batch_size: int.
        step_size_schedule: pairs of the first step and its learning rate.
        weight_decay: float, the gradient of the loss has
            `weight_decay * kernel` added.
        momentum: float.
        num_eval_examples: int, the first test images, in CIFAR-10's order.
        eval_batch_size: int.
        epsilon: float, the L-infinity radius, of 255.
        num_steps: int, steps of PGD.
        step_size: float, the length of a step, of 255.
        random_start: bool, whether PGD starts at a random point of the ball.
        loss_func: `"xent"`, or `"cw"`: the best wrong logit minus the right
            one.
        store_adv_path: str, the file that `run_attack` reads.

    Raises:
        ValueError: if a value is of another type, or out of range.
    """

    model_dir: str = "models/adv_trained"
    tf_random_seed: int = 0
    max_num_training_steps: int = 80_000
    num_checkpoint_steps: int = 300
    training_batch_size: int = 128
    step_size_schedule: tuple[tuple[int, float], ...] = (
        (0, 0.1),
        (40_000, 0.01),
        (60_000, 0.001),
    )
    weight_decay: float = 0.0002
    momentum: float = 0.9
    num_eval_examples: int = 10_000
    eval_batch_size: int = 128
    epsilon: float = 8.0
    num_steps: int = 10
    step_size: float = 2.0
    random_start: bool = True
    loss_func: str = "xent"
    store_adv_path: str = "attack.npy"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kinds = _KINDS.get(type(field.default))
            if kinds and type(value) not in kinds:
                raise ValueError(
                    f"{field.name} must be {kinds[0].__name__}. Received: "
                    f"{value!r}"
                )
            if kinds and kinds[0] is float:
                # JSON and users write 8 for 8.0.
                object.__setattr__(self, field.name, float(value))
            if isinstance(value, int | float) and not 0 <= value < math.inf:
                raise ValueError(
                    f"{field.name} must be finite, and not negative. Received: "
                    f"{value}"
                )
        positive = (
            "max_num_training_steps",
            "num_checkpoint_steps",
            "training_batch_size",
            "num_eval_examples",
            "eval_batch_size",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1. Received: "
                    f"{getattr(self, name)}"
                )
        if self.momentum >= 1:
            raise ValueError(
                f"momentum must be below 1. Received: {self.momentum}"
            )
        if self.loss_func not in LOSSES:
            raise ValueError(
                f"loss_func must be one of {', '.join(LOSSES)}. Received: "
                f"{self.loss_func}"
            )
        for step, rate in self.step_size_schedule:
            if type(step) is not int or type(rate) not in (int, float):
                raise ValueError(
                    "step_size_schedule must be pairs of int and float. "
                    f"Received: {self.step_size_schedule}"
                )
            if not 0 <= rate < math.inf:
                raise ValueError(
                    "step_size_schedule must have finite rates, none negative. "
                    f"Received: {self.step_size_schedule}"
                )
        steps = [step for step, _ in self.step_size_schedule]
        if not steps or steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError(
                "step_size_schedule must have ascending steps from 0. "
                f"Received: {self.step_size_schedule}"
            )

    def scaled(self, steps: int) -> "Config":
        """Returns a training of that many steps, its schedule as much shorter.

        Args:
            steps: int, at least 1.
        """
        scale = steps / self.max_num_training_steps
        schedule: list[tuple[int, float]] = []
        for step, rate in self.step_size_schedule:
            # Each rate has a step at least, as long as steps last.
            first = schedule[-1][0] + 1 if schedule else 0
            schedule.append((max(first, round(scale * step)), rate))
        return dataclasses.replace(
            self,
            max_num_training_steps=steps,
            step_size_schedule=tuple(schedule),
        )


def read(path: str) -> Config:
    """Reads a config.json of the challenge, the original's or ours.

    Keys that are missing have their defaults.

    Raises:
        ValueError: if the file is no such configuration.
    """
    with open(path, encoding="utf-8") as file:
        try:
            # The original repeats the key `_comment`.
            values: dict[str, Any] = json.load(file)
            values = {k: v for k, v in values.items() if k not in _OTHER_KEYS}
            if "step_size_schedule" in values:
                values["step_size_schedule"] = tuple(
                    (step, rate) for step, rate in values["step_size_schedule"]
                )
            return Config(**values)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a configuration of the challenge: {error}"
            ) from error


def write(settings: Config, path: str) -> None:
    """Writes a config.json that `read` reads, whole or not at all."""
    results.write_json(settings, path)
