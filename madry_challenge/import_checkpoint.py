"""Converts an old checkpoint: `python -m madry_challenge.import_checkpoint`.

    python -m madry_challenge.import_checkpoint --checkpoint=DIR --output=PATH

Reads a TensorFlow 1 checkpoint of either network of the challenge and writes a
.keras file that gives the same logits.
"""

import dataclasses

from absl import flags

from madry_challenge import checkpoint_files
from peernets_tf import files, records
from peernets_tf.cli import app

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Folder of the TensorFlow 1 checkpoint, or the common prefix of its files "
    "(required).",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The .keras file to write (required).", required=True
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    checkpoint: str
    output: str


def _parse(arguments: list[str]) -> _Config:
    app.refuse_arguments(arguments)
    files.check_output(_OUTPUT.value, ".keras", "--output")
    checkpoint_files.prefix(_CHECKPOINT.value)
    return _Config(checkpoint=_CHECKPOINT.value, output=_OUTPUT.value)


def _run(config: _Config, provenance: records.Provenance) -> None:
    from madry_challenge import original_checkpoint

    del provenance
    model = original_checkpoint.convert(config.checkpoint, config.output)
    print(f"Model: {config.output} ({model.name})")


COMMAND = app.Command(
    module="madry_challenge.import_checkpoint", parse=_parse, run=_run
)

if __name__ == "__main__":
    app.main(COMMAND)
