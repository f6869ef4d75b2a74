"""The pictures of the smallest perturbations, against the perturbations."""

import pytest
from small_models import classifiers, make_linear

from peernets_tf import pictures
from peernets_tf.pictures import examples, smallest


@pytest.fixture(scope="module")
def models():
    # How a PeerNet is seen is the matter of smallest_test.
    return [make_linear(), make_linear(scale=0.05)]


@pytest.fixture(scope="module")
def made(models, stripes):
    return pictures.strength_pictures(models, stripes, num_images=6)


def drawn(picture):
    with pictures.styled(pictures.LIGHT):
        return picture.draw(pictures.LIGHT)


def test_what_stands_below_the_images(made, models, stripes):
    figure = drawn(made[0])
    notes = [axes.get_xlabel() for axes in figure.axes]
    correct = examples.correct_images(classifiers(models), stripes.test, 6)
    label = int(examples.of_different_classes(correct, 1).labels[0])
    assert notes[0] == f"✓ class {label}"
    # In each row one original, and two images for each of three attacks.
    views = len(smallest.views(models))
    assert len(figure.axes) == views * 7
    for row in range(views):
        line = notes[7 * row + 1 : 7 * row + 7]
        for image, change in zip(line[::2], line[1::2], strict=True):
            is_fooled = image.startswith("✗")
            assert is_fooled == change.startswith("L2 ")
            assert is_fooled or change == "nothing fools"


def test_the_picture_names_what_it_took(made):
    six, nine, points = made
    assert "PGD takes 10 steps" in six.caption
    assert "PGD takes" not in nine.caption
    assert "6 test images" in points.caption
    assert len({picture.name for picture in made}) == 3


def test_both_themes_render(made):
    for picture in made:
        for theme in (pictures.LIGHT, pictures.DARK):
            png = pictures.render(picture, theme, "png")
            assert png.startswith(b"\x89PNG")


def test_one_network_alone_has_no_comparison(models, stripes):
    made = pictures.strength_pictures(models[:1], stripes, num_images=1)
    assert [picture.name for picture in made] == ["figure_6_strength"]
