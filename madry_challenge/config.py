"""The challenge's configuration: the keys of its config.json."""

import dataclasses
import math
from typing import Any

from peernets_tf import files
from peernets_tf.errors import UserError

# The challenge's losses, and what peernets_tf.attacks calls them.
LOSSES = {"xent": "cross_entropy", "cw": "margin"}
# The types that a value may have, by the type of its default. JSON and users
# write 8 for 8.0.
_TYPES: dict[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
}
# Keys of the original's files that have another home here, or none.
_IGNORED_KEYS = {
    "_comment",
    "data_path",
    "eval_on_cpu",
    "np_random_seed",
    "num_output_steps",
    "num_summary_steps",
    "random_seed",
}


def _key(
    default: Any, description: str, *, flag: str | None = None, minimum: int = 0
) -> Any:
    """Returns a field of `Config`; flags and errors read its metadata.

    Args:
        default: the original's value.
        description: str, what the key controls, and its unit.
        flag: str, the name of the command-line flag; None for the key's own.
        minimum: int, the smallest value of a number.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "flag": flag,
            "minimum": minimum,
        },
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The keys of config.json, with the defaults of the original file.

    The description of each key stands beside it. Command-line flags show the
    same descriptions.

    Raises:
        UserError: if a value has the wrong type or is out of range.
    """

    model_dir: str = _key(
        "models/adv_trained",
        "Folder of checkpoints and logs; a run found there is resumed",
        flag="output_dir",
    )
    tf_random_seed: int = _key(0, "Seed of all random numbers", flag="seed")
    max_num_training_steps: int = _key(80_000, "Training steps", minimum=1)
    num_checkpoint_steps: int = _key(
        300, "Training steps between checkpoints", minimum=1
    )
    training_batch_size: int = _key(128, "Images per training step", minimum=1)
    step_size_schedule: tuple[tuple[int, float], ...] = _key(
        ((0, 0.1), (40_000, 0.01), (60_000, 0.001)),
        "Learning rates, each with the step at which it begins",
    )
    weight_decay: float = _key(
        0.0002,
        "L2 regularization: this times each kernel is added to its gradient",
    )
    momentum: float = _key(0.9, "Momentum of the optimizer, below 1")
    num_eval_examples: int = _key(
        10_000,
        "Test images that are attacked, the first in CIFAR-10's own order",
        minimum=1,
    )
    eval_batch_size: int = _key(
        128, "Test images that are attacked at once", minimum=1
    )
    epsilon: float = _key(
        8.0, "L-infinity radius of the attack on the 0-255 pixel scale"
    )
    num_steps: int = _key(10, "Steps of PGD; 0 trains on unperturbed images")
    step_size: float = _key(
        2.0, "Length of a PGD step on the 0-255 pixel scale"
    )
    random_start: bool = _key(True, "Start PGD at a random point of the ball")
    loss_func: str = _key(
        "xent",
        "The loss that PGD increases: xent (cross-entropy) or cw (the largest "
        "wrong logit minus the true class's logit)",
    )
    store_adv_path: str = _key(
        "attack.npy", "The .npy file of adversarial images", flag="attack"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check(field)
        if self.momentum >= 1:
            raise UserError(
                f"momentum must be below 1. Received: {self.momentum}"
            )
        if self.loss_func not in LOSSES:
            raise UserError(
                f"loss_func must be one of {', '.join(LOSSES)}. Received: "
                f"{self.loss_func}"
            )
        _check_schedule(self.step_size_schedule)

    def _check(self, field: dataclasses.Field[Any]) -> None:
        """Checks the type and the range of a bool, a number or a text."""
        name, value = field.name, getattr(self, field.name)
        types = _TYPES.get(type(field.default))
        if types is None:
            return
        if type(value) not in types:
            raise UserError(
                f"{name} must be of type {types[0].__name__}. Received: "
                f"{value!r}"
            )
        if types[0] is float:
            object.__setattr__(self, name, float(value))
        minimum = field.metadata["minimum"]
        if isinstance(value, int | float) and not minimum <= value < math.inf:
            raise UserError(
                f"{name} must be finite and at least {minimum}. Received: "
                f"{value}"
            )

    def write(self, path: str) -> None:
        """Writes a config.json that `read` reads, whole or not at all."""
        files.write_json(dataclasses.asdict(self), path)

    def scaled(self, steps: int) -> "Config":
        """Returns a training of that many steps, with the schedule shortened.

        Args:
            steps: int, at least 1.
        """
        scale = steps / self.max_num_training_steps
        schedule: list[tuple[int, float]] = []
        for step, rate in self.step_size_schedule:
            # Two rates cannot begin at the same step.
            first = schedule[-1][0] + 1 if schedule else 0
            schedule.append((max(first, round(scale * step)), rate))
        return dataclasses.replace(
            self,
            max_num_training_steps=steps,
            step_size_schedule=tuple(schedule),
        )


def read(path: str) -> Config:
    """Reads a config.json of the original challenge or of `Config.write`.

    Missing keys have their defaults.

    Raises:
        UserError: if the file is not such a configuration.
    """
    # The original repeats the key `_comment`, which JSON allows.
    values = files.read_json(path)
    try:
        values = {k: v for k, v in values.items() if k not in _IGNORED_KEYS}
        if "step_size_schedule" in values:
            values["step_size_schedule"] = tuple(
                (step, rate) for step, rate in values["step_size_schedule"]
            )
        return Config(**values)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a configuration of the challenge: {error}"
        ) from error


def _check_schedule(schedule: tuple[tuple[int, float], ...]) -> None:
    for step, rate in schedule:
        if type(step) is not int or type(rate) not in (int, float):
            raise UserError(
                "step_size_schedule must be pairs of an int and a float. "
                f"Received: {schedule}"
            )
        if not 0 <= rate < math.inf:
            raise UserError(
                "step_size_schedule must have finite rates of at least 0. "
                f"Received: {schedule}"
            )
    steps = [step for step, _ in schedule]
    if not steps or steps[0] != 0 or steps != sorted(set(steps)):
        raise UserError(
            "step_size_schedule must have ascending steps that begin with 0. "
            f"Received: {schedule}"
        )
