"""Reads an original checkpoint: `python -m madry_challenge.import_checkpoint`.

    python -m madry_challenge.import_checkpoint --checkpoint=DIR --output=PATH

The original's TensorFlow 1 checkpoints, of either network, become a .keras
file of the same logits.
"""

from absl import flags

from madry_challenge import original_checkpoint
from peernets_tf import command, results

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Prefix of the checkpoint's files, or the folder that holds them.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The .keras file to write.", required=True
)


def import_checkpoint(argv: list[str]) -> None:
    """Writes the model of a checkpoint."""
    if argv[1:]:
        raise ValueError(f"not a flag: {' '.join(argv[1:])}")
    if not _OUTPUT.value.endswith(".keras"):
        raise ValueError(f"--output must end in .keras: {_OUTPUT.value}")
    results.check_folder_of(_OUTPUT.value)
    model = original_checkpoint.read(_CHECKPOINT.value)
    with results.atomic_file(_OUTPUT.value) as path:
        model.save(path)
    print(f"Model: {_OUTPUT.value} ({model.name})")


if __name__ == "__main__":
    command.run(import_checkpoint)
