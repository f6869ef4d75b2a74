"""Flags that several commands share."""

from absl import flags

from peernets_tf import models
from peernets_tf.cli import flag_files
from peernets_tf.errors import UserError

# The command that calls `define_...` owns the flag, and its --help shows it.
flags.disclaim_key_flags()


def define_data_dir() -> flags.FlagHolder[str | None]:
    """Defines --data_dir."""
    return flags.DEFINE_string(
        "data_dir",
        None,
        "Folder of TensorFlow Datasets; missing data sets are downloaded to it "
        "(default: TFDS's own folder, usually ~/tensorflow_datasets).",
    )


def define_dataset(
    default: str | None, default_help: str
) -> flags.FlagHolder[str | None]:
    """Defines --dataset.

    Args:
        default: str or None, the flag's default.
        default_help: str, the default in the words of the help.
    """
    return flags.DEFINE_string(
        "dataset",
        default,
        "Data set: mnist, cifar10 or cifar100 of TensorFlow Datasets, mnist5k "
        "(5,000 digits of MNIST's training set, without a download), or the "
        "path of an .npz file with x_train, y_train, x_test and y_test "
        f"(default: {default_help}).",
    )


def check_model(name_or_path: str, flag: str) -> None:
    """Raises a `UserError` if a flag names neither a preset nor a file.

    The error says which command makes the model, if a flag file does.

    Args:
        name_or_path: str, the flag's value.
        flag: str, such as `"--checkpoint"`.
    """
    try:
        models.check_name(name_or_path, flag)
    except UserError as error:
        maker = flag_files.maker(name_or_path)
        if maker is None:
            raise
        raise UserError(
            f"{error}; make it with python -m {maker.module} "
            f"--flagfile={maker.name}"
        ) from error


def define_seed() -> flags.FlagHolder[int]:
    """Defines --seed."""
    return flags.DEFINE_integer(
        "seed", 0, "Seed of all random numbers, 0 or larger (default: 0).", 0
    )
