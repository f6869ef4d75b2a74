"""The report as one HTML page that needs no network."""

import base64
import dataclasses
import pathlib
import re
from collections.abc import Sequence

import jinja2

import peernets_tf
from peernets_tf.pictures import style
from peernets_tf.pictures.chapters import chapters
from peernets_tf.pictures.style import DARK, LIGHT, Picture
from peernets_tf.pictures.verdict import verdicts
from peernets_tf.records import Source, visible
from peernets_tf.records.tables import Table

_FIGURE = re.compile(r"figure_(\d+)")
_NUMBER = re.compile(r"[-+]?\d[^a-zA-Z]*|-|")
# A larger SVG, as of many images, is embedded as a PNG.
_MAX_SVG_BYTES = 200_000
_CSS_DPI = 96


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
    environment.filters["visible"] = visible
    environment.filters["numeric_columns"] = _numeric_columns
    truth = [e for e in embedded if e.picture.name.startswith("truth_")]
    figures = [e for e in embedded if e not in truth]
    return environment.get_template("report.html.jinja").render(
        version=peernets_tf.__version__,
        light=LIGHT,
        dark=DARK,
        verdicts=verdicts(records),
        truth=truth,
        chapters=chapters(records),
        figures=sorted(figures, key=_order),
        missing=missing,
        sources=sources,
    )


def _numeric_columns(table: Table) -> list[bool]:
    """Returns for each column whether all its cells are numbers or missing."""
    if not table.rows:
        return [False] * len(table.columns)
    return [
        all(_NUMBER.fullmatch(cell) for cell in column)
        and any(cell.strip("-") for cell in column)
        for column in zip(*table.rows, strict=True)
    ]


def _order(embedded: Embedded) -> int:
    """Returns the paper's number of a figure; others follow in their order."""
    found = _FIGURE.match(embedded.picture.name)
    return int(found[1]) if found else 1000


def embed(picture: Picture, folder: str) -> Embedded:
    """Saves a picture and returns it as data URIs.

    Args:
        picture: the `Picture`.
        folder: str, the folder of its PNG and SVG.
    """
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
