"""Shows records as tables, or as a page: `python -m peernets_tf.report`.

    python -m peernets_tf.report runs/*/record.json
    python -m peernets_tf.report --output_dir=report results/*.json

The first command prints tables. The second writes report/index.html, one page
with tables and pictures that opens without a network, and report/pictures with
each picture as PNG and SVG. Some pictures need the models of the records and
their data sets, see --data_dir; the report says which of them are missing.
"""

import dataclasses
import functools
import os

from absl import flags

from peernets_tf import lazy, records
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder for index.html and pictures; files of an earlier report in it are "
    "replaced (default: none, the tables are printed).",
)
_DATA_DIR = shared_flags.define_data_dir()
_SEED = shared_flags.define_seed()
_CURVES = flags.DEFINE_bool(
    "curves",
    False,
    "Also print the validation accuracy of each training after each epoch "
    "(default: false).",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which records to show, and where.

    Attributes:
        paths: tuple of str, the records' files.
        curves: bool, whether to also print validation accuracies.
        output_dir: str or None, the folder of the page; None to print tables.
        data_dir: str or None, the folder of TensorFlow Datasets.
        seed: int, the seed of what pictures of models draw.
    """

    paths: tuple[str, ...]
    curves: bool
    output_dir: str | None
    data_dir: str | None
    seed: int


def _parse(arguments: list[str]) -> ReportConfig:
    if not arguments:
        raise UserError(
            "expected the paths of records. Received: none. Give them as in "
            "python -m peernets_tf.report runs/*/record.json"
        )
    folder = _OUTPUT_DIR.value
    if folder is not None and (not folder or os.path.isfile(folder)):
        raise UserError(f"--output_dir must be a folder. Received: {folder!r}")
    if folder is not None and _CURVES.value:
        raise UserError(
            "--curves is for printed tables; the page of --output_dir has a "
            "picture of them: leave out --curves"
        )
    return ReportConfig(
        paths=tuple(arguments),
        curves=_CURVES.value,
        output_dir=folder,
        data_dir=_DATA_DIR.value,
        seed=_SEED.value,
    )


def _run(config: ReportConfig, provenance: records.Provenance | None) -> None:
    del provenance  # A report writes no record.
    if config.output_dir is None:
        print(records.report(config.paths, config.curves))
        return
    path = _write_page(config, config.output_dir)
    print(f"Wrote {path}: open it in a browser")


def _write_page(config: ReportConfig, output_dir: str) -> str:
    """Writes the page and its pictures; returns the page's path."""
    pictures = lazy.module("peernets_tf.pictures")
    try:
        write_report = pictures.write_report
    except ModuleNotFoundError as error:
        raise UserError(
            "--output_dir needs matplotlib and Jinja: pip install "
            f"'peernets-tf[cpu]'. Received: {error}"
        ) from error
    written: str = write_report(
        config.paths,
        output_dir,
        data_dir=config.data_dir,
        seed=config.seed,
        say=functools.partial(print, flush=True),
    )
    return written


COMMAND = app.Command(
    module="peernets_tf.report",
    parse=_parse,
    run=_run,
    # Tables are made of records alone, pictures of models, too.
    needs_keras=lambda config: config.output_dir is not None,
)


def main() -> None:
    """Runs the command."""
    app.main(COMMAND)


if __name__ == "__main__":
    main()
