"""The challenge's configuration: the keys of its config.json, its attack."""

import dataclasses
from typing import Any

from peernets_tf import attacks, files
from peernets_tf.errors import UserError

# The challenge's names of losses, with those of peernets_tf.attacks.
LOSSES = {"xent": "cross_entropy", "cw": "margin"}
# The types that a value may have, by the type of its default. A float may be
# an int, because JSON files and users write 8 for 8.0.
_TYPES: dict[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
}
# Keys of the original's files that have no effect here.
_IGNORED_KEYS = {
    "_comment",
    "data_path",
    "eval_on_cpu",
    "np_random_seed",
    "num_output_steps",
    "num_summary_steps",
    "random_seed",
}


# Networks and attacks compute in float32 and int32.
_LARGEST_FLOAT = 3.4e38
_LARGEST_INT = 2**31 - 1


def _key(
    default: Any,
    description: str,
    *,
    flag: str | None = None,
    minimum: int = 0,
    maximum: int | None = None,
) -> Any:
    """Returns a field of `Config`, with metadata for flags and errors.

    Args:
        default: the value in the original config.json.
        description: str, what the key controls, and its unit.
        flag: str, the name of the command-line flag; None: the key's name.
        minimum: int, the smallest value allowed for a number.
        maximum: int, the largest; None: that of int32 or of float32.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "flag": flag,
            "minimum": minimum,
            "maximum": maximum,
        },
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The keys of config.json, with the defaults of the original file.

    Only the seed has another default, 0.

    The help of the command-line flags shows the descriptions of the keys.

    Raises:
        UserError: if a value has the wrong type or is out of range.
    """

    model_dir: str = _key(
        "models/adv_trained",
        "Folder for checkpoints and logs; an interrupted run in it is resumed",
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
        "STEP:RATE pairs, comma-separated: the learning rate from each step on",
    )
    weight_decay: float = _key(
        0.0002,
        "L2 regularization: the gradient of each kernel has this number times "
        "the kernel added",
    )
    momentum: float = _key(0.9, "Momentum of the optimizer, in [0, 1)")
    num_eval_examples: int = _key(
        10_000,
        "Number of test images to attack, the first in CIFAR-10's own order",
        minimum=1,
    )
    eval_batch_size: int = _key(128, "Test images per batch", minimum=1)
    epsilon: float = _key(
        8.0,
        "Largest L-infinity norm of the attack, on the 0-255 pixel scale",
        maximum=255,
    )
    num_steps: int = _key(10, "Steps of PGD")
    step_size: float = _key(
        2.0, "Length of a PGD step, on the 0-255 pixel scale"
    )
    random_start: bool = _key(
        True, "Start PGD at a random point within epsilon of the image"
    )
    loss_func: str = _key(
        "xent",
        "Loss that PGD increases: xent (cross-entropy) or cw (the largest "
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
        """Checks the type and the range of a bool, a number or a string."""
        name, value = field.name, getattr(self, field.name)
        types = _TYPES.get(type(field.default))
        if types is None:
            return
        if type(value) not in types:
            raise UserError(
                f"{name} must be of type {types[0].__name__}. Received: "
                f"{value!r}"
            )
        if types[0] in (int, float):
            self._check_range(field)
        if types[0] is float:
            object.__setattr__(self, name, float(value))

    def _check_range(self, field: dataclasses.Field[Any]) -> None:
        value = getattr(self, field.name)
        minimum = field.metadata["minimum"]
        maximum = field.metadata["maximum"]
        if maximum is None:
            is_int = isinstance(field.default, int)
            maximum = _LARGEST_INT if is_int else _LARGEST_FLOAT
        # False for NaN.
        if not minimum <= value <= maximum:
            raise UserError(
                f"{field.name} must be finite, at least {minimum} and at most "
                f"{maximum}. Received: {_short(value)}"
            )

    def write(self, path: str) -> None:
        """Writes a config.json for `read`, atomically."""
        files.write_json(dataclasses.asdict(self), path)

    def scaled(self, steps: int) -> "Config":
        """Returns this configuration with its schedule scaled to other steps.

        Args:
            steps: int, the new number of training steps, at least 1.
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

    Missing keys take their defaults.

    Raises:
        UserError: if the file is not such a configuration.
    """
    # The original file repeats this key.
    values = files.read_json(path, may_repeat=("_comment",))
    try:
        values = {k: v for k, v in values.items() if k not in _IGNORED_KEYS}
        if "step_size_schedule" in values:
            values["step_size_schedule"] = tuple(
                # Keras does not take ints.
                (step, float(rate) if type(rate) is int else rate)
                for step, rate in values["step_size_schedule"]
            )
        return Config(**values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a configuration of the challenge ({error}): give "
            "a config.json of the original or of this package"
        ) from error


def attack_of(settings: Config) -> attacks.PGD:
    """Returns the attack of a configuration: PGD that keeps its last iterate.

    The original's loss `cw` stops growing at a margin of 50; this one does not.

    Raises:
        UserError: if the attack has no steps.
    """
    if not settings.num_steps:
        raise UserError(
            "num_steps must be at least 1 to attack; 0 is for "
            "madry_challenge.train, on images. Received: num_steps=0"
        )
    return attacks.PGD(
        epsilon=settings.epsilon / 255,
        steps=settings.num_steps,
        step_size=settings.step_size / 255,
        loss=LOSSES[settings.loss_func],
        random_start=settings.random_start,
        keep_best=False,
    )


def _short(value: float) -> str:
    """Returns a number in digits, or its size where these would fill pages."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    return str(value)


def _check_schedule(schedule: tuple[tuple[int, float], ...]) -> None:
    for step, rate in schedule:
        if type(step) is not int or type(rate) not in (int, float):
            raise UserError(
                "step_size_schedule must be pairs of an int and a float. "
                f"Received: {schedule}"
            )
        if not (0 <= rate <= _LARGEST_FLOAT and 0 <= step <= _LARGEST_INT):
            raise UserError(
                "step_size_schedule must have finite rates of at least 0, and "
                f"steps of at least 0 and at most {_LARGEST_INT}. Received: "
                f"{_short(step)}:{_short(rate)}"
            )
    steps = [step for step, _ in schedule]
    if not steps or steps[0] != 0 or steps != sorted(set(steps)):
        raise UserError(
            "step_size_schedule must have ascending steps that begin with 0. "
            f"Received: {schedule}"
        )
