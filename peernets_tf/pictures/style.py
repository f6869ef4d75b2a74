"""The look of all pictures: colours, line styles, fonts, and how to save one.

A model has one colour in every picture, a kind of attack one line style and
one marker. The colours are those of Okabe and Ito, which colour-blind people
can tell apart; the dark theme has lighter ones of the same hues.
"""

import contextlib
import dataclasses
import importlib.util
import io
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from peernets_tf import files

_FONTS = ("Source Sans Pro", "DejaVu Sans")
_FONT_PACKAGE = "font_source_sans_pro"
DPI = 160
# The share of the text's colour in that of text about a model, which as a thin
# letter needs more contrast than a line.
_INK = 0.3
# A letter, or a letter and two numbers for what `scatter` draws, before a hash.
_HASHED_ID = re.compile(rb'id="([a-zA-Z]\w*?[0-9a-f]{10})"')


@dataclasses.dataclass(frozen=True)
class Theme:
    """The colours of a page.

    Attributes:
        name: str, `"light"` or `"dark"`.
        background: str, behind everything.
        text: str, titles, labels and ticks.
        line: str, axes and grids.
        models: mapping from the models' names to colours.
        other: str, the colour of a model without one of its own.
    """

    name: str
    background: str
    text: str
    line: str
    models: Mapping[str, str]
    other: str

    def color(self, model: str) -> str:
        """Returns the colour of a model, such as `"pr_resnet32"`."""
        return self.models.get(model.removesuffix("_v2"), self.other)

    def ink(self, model: str) -> str:
        """Returns the colour of text about a model: nearer to other text."""
        (r, g, b), (red, green, blue) = map(
            to_rgb, (self.color(model), self.text)
        )
        keep = 1 - _INK
        return to_hex(
            (
                keep * r + _INK * red,
                keep * g + _INK * green,
                keep * b + _INK * blue,
            )
        )


LIGHT = Theme(
    name="light",
    background="#ffffff",
    text="#1f2328",
    line="#c8cdd3",
    models={
        "resnet32": "#0072b2",
        "pr_resnet32": "#d55e00",
        "lenet5": "#3d96cc",
        "pr_lenet5": "#c17e00",
        "resnet110": "#009e73",
        "pr_resnet110": "#cc79a7",
    },
    other="#6e7781",
)
DARK = Theme(
    name="dark",
    background="#14171c",
    text="#e6e9ed",
    line="#474e57",
    models={
        "resnet32": "#4db2ec",
        "pr_resnet32": "#ff8a3d",
        "lenet5": "#9bd6ff",
        "pr_lenet5": "#ffc34d",
        "resnet110": "#3fd0a4",
        "pr_resnet110": "#eba6cb",
    },
    other="#a5adb8",
)


@dataclasses.dataclass(frozen=True)
class LineStyle:
    """How a kind of attack is drawn: a dash pattern and a marker."""

    dashes: str | tuple[int, tuple[int, ...]]
    marker: str


# By the backward pass for attacks that follow a gradient, otherwise by kind.
LINE_STYLES = {
    "exact": LineStyle("-", "o"),
    "identity": LineStyle((0, (5, 2)), "s"),
    "soft": LineStyle((0, (1, 1)), "^"),
    "black box": LineStyle((0, (4, 1, 1, 1)), "D"),
    "noise": LineStyle((0, (2, 2)), "x"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture that can be drawn in both themes.

    Attributes:
        name: str, the name of its files, without a suffix.
        title: str, one line.
        caption: str, what is shown: model, data, budget, number of images.
        alt: str, what one would see, for those who cannot.
        draw: function from a `Theme` to a matplotlib `Figure`. It is called
            inside of `styled`.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Theme], Figure]


@contextlib.contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Gives figures that are made and saved in the block the theme's look."""
    _register_font()
    with matplotlib.rc_context():
        matplotlib.rcParams.update(_parameters(theme))
        yield


def render(picture: Picture, theme: Theme, suffix: str) -> bytes:
    """Returns a picture as the bytes of a file, the same in every call.

    Args:
        picture: the `Picture`.
        theme: the `Theme`.
        suffix: `"png"` or `"svg"`.
    """
    # Otherwise matplotlib writes the date and random names into an SVG.
    metadata = {"Date": None} if suffix == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with styled(theme):
        figure = picture.draw(theme)
        figure.savefig(buffer, format=suffix, metadata=metadata)
    data = buffer.getvalue()
    return _with_plain_ids(data) if suffix == "svg" else data


def _with_plain_ids(svg: bytes) -> bytes:
    """Returns an SVG whose parts are numbered.

    matplotlib names them after a hash of their coordinates, whose last bits
    differ between processors.
    """
    names = dict.fromkeys(_HASHED_ID.findall(svg))
    for number, name in enumerate(names, 1):
        svg = svg.replace(name, b"part%d" % number)
    return svg


def save(picture: Picture, folder: str) -> tuple[str, str]:
    """Writes NAME.png and NAME.svg in the light theme; returns their paths."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for suffix in ("png", "svg"):
        path = os.path.join(folder, f"{picture.name}.{suffix}")
        with files.atomic_file(path) as temporary:
            pathlib.Path(temporary).write_bytes(render(picture, LIGHT, suffix))
        paths.append(path)
    return paths[0], paths[1]


def _register_font() -> None:
    """Makes the font of the package font-source-sans-pro known, once."""
    spec = importlib.util.find_spec(_FONT_PACKAGE)
    known = {font.name for font in font_manager.fontManager.ttflist}
    if spec is None or spec.origin is None or _FONTS[0] in known:
        return
    for path in sorted(pathlib.Path(spec.origin).parent.rglob("*.ttf")):
        font_manager.fontManager.addfont(str(path))


def _parameters(theme: Theme) -> dict[Any, Any]:
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": theme.line,
        "axes.facecolor": theme.background,
        "axes.grid": True,
        "axes.labelcolor": theme.text,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "figure.constrained_layout.use": True,
        "figure.facecolor": theme.background,
        "font.family": list(_FONTS),
        "font.size": 11,
        "grid.color": theme.line,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 2,
        "lines.markersize": 6,
        "savefig.dpi": DPI,
        "savefig.facecolor": theme.background,
        "svg.hashsalt": "peernets_tf",
        "text.color": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
    }
