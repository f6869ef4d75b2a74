"""The pictures of peers: each is drawn whole, in both themes."""

import numpy as np
import pytest
from small_models import make_linear, make_peernet

from peernets_tf import datasets, evaluation, models, pictures
from peernets_tf.pictures import neighbors


@pytest.fixture(scope="module")
def drawn():
    """The pictures of the trained PeerNet on mnist5k."""
    model = models.load_pretrained("mnist_pr_lenet5")
    return pictures.peer_pictures(model, datasets.load("mnist5k"))


def image_axes(figure):
    return [axes for axes in figure.get_axes() if axes.images]


def draw(picture, theme=pictures.LIGHT):
    with pictures.styled(theme):
        return picture.draw(theme)


def test_both_figures_are_there(drawn):
    assert [picture.name for picture in drawn] == [
        "figure_1_neighbors",
        "figure_3_franken_images",
    ]
    for picture in drawn:
        assert "PR-LeNet-5" in picture.caption
        assert "mnist5k" in picture.caption
        for theme in (pictures.LIGHT, pictures.DARK):
            png = pictures.render(picture, theme, "png")
            assert png.startswith(b"\x89PNG")


def test_figure_1_shows_all_neighbours_with_their_scores(drawn):
    figure = draw(drawn[0])
    # The image, and ten neighbours of each of three pixels.
    assert len(image_axes(figure)) == 31
    titles = [axes.get_title("center") for axes in image_axes(figure)[1:]]
    scores = [float(title.split()[-1]) for title in titles]
    assert np.allclose(np.reshape(scores, (3, 10)).sum(axis=1), 1, atol=0.01)


def test_figure_3_shows_clean_and_attacked_side_by_side(drawn):
    figure = draw(drawn[1])
    assert len(image_axes(figure)) == 5 * 2 * 3
    titles = [axes.get_title("center") for axes in image_axes(figure)]
    heads = [title.split("\n") for title in titles if title]
    assert [head[0] for head in heads] == ["clean", "attacked"] * 5
    assert [head[1] for head in heads[::2]] == ["0", "1", "2", "3", "4"]
    changed = sum(
        a[1] != b[1] for a, b in zip(heads[::2], heads[1::2], strict=True)
    )
    assert f"changes {changed} of 5 predictions" in drawn[1].caption
    assert "epsilon 0.3, identity backward (BPDA)" in drawn[1].caption


def test_there_is_nothing_to_draw_without_peers(stripes):
    assert pictures.peer_pictures(make_linear(), stripes) == []


def test_the_three_pixels_lie_apart(stripes):
    model = make_peernet(stripes)
    graph = evaluation.draw_graph(model, stripes)
    explained = evaluation.explain(model, stripes.test.images[:1], graph)
    places = neighbors._choose(explained.layers[0], 0)
    assert len({(place.row, place.column) for place in places}) == 3


def test_a_story_has_a_row_for_each_view(stripes):
    for model, rows, columns in (
        (make_peernet(stripes), 3, 2 + 5),
        (make_linear(), 2, 1),
    ):
        graph = None
        if rows == 3:
            graph = evaluation.draw_graph(model, stripes)
        story = evaluation.tell_story(model, stripes.test.images[:1], graph)
        picture = pictures.story_picture(story, stripes.name, "a stripe")
        assert "epsilon 0.3" in picture.caption
        figure = draw(picture)
        assert len(image_axes(figure)) == rows * columns
        assert len(figure.get_axes()) == rows * (columns + 1)
