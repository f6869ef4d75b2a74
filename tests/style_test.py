"""Pictures are drawn alike in every call and in both themes."""

import pathlib
import re

from matplotlib.figure import Figure

from peernets_tf import pictures
from peernets_tf.pictures import style


def line_picture():
    def draw(theme):
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=theme.color("resnet32"))
        axes.scatter([0, 1], [1, 0], s=[10, 20])
        axes.set_title("A line")
        return figure

    return pictures.Picture(
        name="line", title="A line", caption="None.", alt="A line.", draw=draw
    )


def test_rendering_is_the_same_in_every_call():
    for suffix in ("png", "svg"):
        first = pictures.render(line_picture(), pictures.LIGHT, suffix)
        assert first == pictures.render(line_picture(), pictures.LIGHT, suffix)


def test_parts_of_an_svg_are_numbered():
    """Hashes of coordinates would differ between processors."""
    svg = pictures.render(line_picture(), pictures.LIGHT, "svg").decode()
    used = re.findall(r'(?:url\(|href=")#(part\d+)', svg)
    assert {*used} == {*re.findall(r'id="(part\d+)"', svg)}
    assert len({*used}) > 1
    assert not re.search(r'[0-9a-f]{10}"', svg)


def test_themes_differ():
    light, dark = (
        pictures.render(line_picture(), theme, "svg").decode()
        for theme in (pictures.LIGHT, pictures.DARK)
    )
    assert pictures.LIGHT.color("resnet32") in light
    assert pictures.DARK.color("resnet32") in dark
    assert pictures.DARK.background in dark


def test_a_model_and_its_wide_variant_have_one_color():
    for theme in (pictures.LIGHT, pictures.DARK):
        assert theme.color("resnet32_v2") == theme.color("resnet32")
        assert theme.color("mine") == theme.other
        assert len(set(theme.models.values())) == len(theme.models)


def test_save(tmp_path):
    png, svg = pictures.save(line_picture(), str(tmp_path / "pictures"))
    assert pathlib.Path(png).read_bytes().startswith(b"\x89PNG")
    assert "<svg" in pathlib.Path(svg).read_text(encoding="utf-8")


def test_text_contrast():
    """WCAG asks for 4.5 for text and 3 for lines that carry meaning."""
    for theme in (pictures.LIGHT, pictures.DARK):
        assert contrast(theme.text, theme.background) > 7
        for model in (*theme.models, "mine"):
            assert contrast(theme.color(model), theme.background) > 3
            assert contrast(theme.ink(model), theme.background) > 4.5


def contrast(first, second):
    luminances = sorted(map(luminance, (first, second)))
    return (luminances[1] + 0.05) / (luminances[0] + 0.05)


def luminance(color):
    def linear(value):
        return (
            value / 12.92
            if value <= 0.04045
            else ((value + 0.055) / 1.055) ** 2.4
        )

    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    weights = (0.2126, 0.7152, 0.0722)
    return sum(w * linear(c) for w, c in zip(weights, channels, strict=True))


def test_the_font_is_found():
    with style.styled(pictures.LIGHT):
        from matplotlib import font_manager

        path = font_manager.findfont("Source Sans Pro")
    assert "SourceSansPro" in path
