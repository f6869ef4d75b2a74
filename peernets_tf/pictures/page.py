"""The report: one HTML file without a network, and its pictures as files."""

import base64
import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Sequence

import jinja2

from peernets_tf import files
from peernets_tf.pictures import model_pictures, style
from peernets_tf.pictures.chapters import chapters
from peernets_tf.pictures.charts import charts
from peernets_tf.pictures.style import DARK, Picture
from peernets_tf.pictures.verdict import verdicts
from peernets_tf.records import Record, escaping, storage

_FIGURE = re.compile(r"figure_(\d+)")
_NUMBER = re.compile(r"[-+]?\d.*|-")
# A larger SVG, as of many images, is embedded as a PNG.
_MAX_SVG_BYTES = 200_000
_CSS_DPI = 96


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A record and where it is.

    Attributes:
        path: str, the record's file.
        record: the `Record`.
        model: str, the model.keras beside it; empty if there is none.
    """

    path: str
    record: Record
    model: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedded:
    """A picture inside of the page.

    Attributes:
        picture: the `Picture`.
        light: str, the data URI for a light page.
        dark: str, the data URI for a dark page.
        width: int, in CSS pixels.
        height: int, in CSS pixels.
    """

    picture: Picture
    light: str
    dark: str
    width: int
    height: int


def write_report(
    paths: Sequence[str],
    output_dir: str,
    *,
    data_dir: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> str:
    """Writes index.html and the folder of pictures; returns the page's path.

    Args:
        paths: sequence of str, the records' files.
        output_dir: str, the folder; it is made if it is missing.
        data_dir: str or None, the folder of TensorFlow Datasets.
        seed: int, the seed of what pictures of models draw.
        say: function that shows a line about the progress.

    Raises:
        UserError: if a file is not a record.
    """
    sources = [_source(path) for path in paths]
    records = [source.record for source in sources]
    folder = os.path.join(output_dir, "pictures")
    found, missing = model_pictures.model_pictures(
        sources, data_dir=data_dir, seed=seed, say=say
    )
    pictures = [*charts(records), *found]
    embedded = [_embed(picture, folder) for picture in pictures]
    path = os.path.join(output_dir, "index.html")
    files.write_text(page(sources, embedded, missing), path)
    return path


def page(
    sources: Sequence[Source],
    embedded: Sequence[Embedded],
    missing: Sequence[str],
) -> str:
    """Returns the page as HTML.

    Args:
        sources: sequence of `Source`s.
        embedded: sequence of `Embedded` pictures.
        missing: sequence of str, what could not be drawn and why.
    """
    records = [source.record for source in sources]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("peernets_tf.pictures", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["visible"] = escaping.visible
    environment.tests["number"] = _NUMBER.fullmatch
    is_truth = [e.picture.name.startswith("truth_") for e in embedded]
    return environment.get_template("report.html.jinja").render(
        verdicts=verdicts(records),
        truth=[e for e, first in zip(embedded, is_truth, strict=True) if first],
        chapters=chapters(records),
        figures=sorted(
            (e for e, first in zip(embedded, is_truth, strict=True) if not first),
            key=_order,
        ),
        missing=missing,
        sources=sources,
    )


def _order(embedded: Embedded) -> int:
    """Returns the paper's number of a figure; others follow in their order."""
    found = _FIGURE.match(embedded.picture.name)
    return int(found[1]) if found else 1000


def _source(path: str) -> Source:
    model = os.path.join(os.path.dirname(path), "model.keras")
    return Source(
        path=path,
        record=storage.read(path),
        model=model if os.path.exists(model) else "",
    )


def _embed(picture: Picture, folder: str) -> Embedded:
    """Saves a picture and returns it as data URIs."""
    light_png, light_svg = (
        pathlib.Path(path).read_bytes() for path in style.save(picture, folder)
    )
    width, height = (
        round(int.from_bytes(pixels) * _CSS_DPI / style.DPI)
        for pixels in (light_png[16:20], light_png[20:24])
    )
    suffix = "svg" if len(light_svg) <= _MAX_SVG_BYTES else "png"
    return Embedded(
        picture=picture,
        light=_data_uri(light_svg if suffix == "svg" else light_png, suffix),
        dark=_data_uri(style.render(picture, DARK, suffix), suffix),
        width=width,
        height=height,
    )


def _data_uri(content: bytes, suffix: str) -> str:
    media_type = {"svg": "image/svg+xml", "png": "image/png"}[suffix]
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
