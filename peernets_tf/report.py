"""Prints records as tables: `python -m peernets_tf.report RECORD ...`."""

import dataclasses

from absl import flags

from peernets_tf import records
from peernets_tf.cli import app
from peernets_tf.errors import UserError

_CURVES = flags.DEFINE_bool(
    "curves",
    False,
    "Also print the validation accuracy of each training after each epoch "
    "(default: false).",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which records to print.

    Attributes:
        paths: tuple of str, the records' files.
        curves: bool, whether to also print validation accuracies.
    """

    paths: tuple[str, ...]
    curves: bool


def _parse(arguments: list[str]) -> ReportConfig:
    if not arguments:
        raise UserError(
            "expected the paths of records. Received: none. Give them as in "
            "python -m peernets_tf.report runs/*/record.json"
        )
    return ReportConfig(paths=tuple(arguments), curves=_CURVES.value)


def _run(config: ReportConfig, provenance: records.Provenance | None) -> None:
    del provenance  # A report writes no record.
    print(records.report(config.paths, config.curves))


COMMAND = app.Command(
    module="peernets_tf.report",
    parse=_parse,
    run=_run,
    # Tables are made of records alone.
    needs_keras=lambda config: False,
)


def main() -> None:
    """Runs the command."""
    app.main(COMMAND)


if __name__ == "__main__":
    main()
