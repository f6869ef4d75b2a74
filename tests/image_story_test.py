"""One image's story: predictions, attacks, and the words for them."""

import keras
import numpy as np
import pytest
from small_models import SHAPE, make_linear, make_peernet

from peernets_tf.errors import AttackError, UserError
from peernets_tf.evaluation import (
    draw_graph,
    image_shape,
    story_text,
    tell_story,
)
from peernets_tf.evaluation.image_story import default_attack
from peernets_tf.evaluation.story_words import backward_name


@pytest.fixture(scope="module")
def story(stripes):
    model = make_peernet(stripes)
    graph = draw_graph(model, stripes)
    return tell_story(model, stripes.test.images[:2], graph, seed=3)


def test_each_view_is_explained(story, stripes):
    assert [v.backward for v in story.views] == [None, "exact", "identity"]
    images = stripes.test.images[:2]
    np.testing.assert_array_equal(story.views[0].images, images)
    for view in story.views:
        assert np.abs(view.images - images).max() <= 0.3 + 1e-6
        np.testing.assert_allclose(view.probabilities.sum(-1), 1, atol=1e-5)
        logits = view.explanation.logits
        np.testing.assert_array_equal(view.predictions, logits.argmax(-1))


def test_attacks_lead_away_from_the_clean_prediction(story):
    clean, exact, identity = story.views
    label = clean.predictions
    rows = np.arange(2)
    for attacked in (exact, identity):
        before = clean.probabilities[rows, label]
        assert (attacked.probabilities[rows, label] <= before + 1e-6).all()
    assert (identity.predictions != label).any()


def test_a_model_without_peers_has_one_attack(stripes):
    told = tell_story(make_linear(), stripes.test.images[:1])
    assert [view.backward for view in told.views] == [None, "exact"]
    assert all(view.explanation is None for view in told.views)
    text = story_text(told, "mnist", "an image")
    assert "peers" not in text and "PGD-20, exact gradient" in text


def test_probabilities_are_refused(stripes):
    linear = make_linear()
    softmax = keras.layers.Softmax()(linear.output)
    model = keras.Model(linear.input, softmax)
    with pytest.raises(AttackError, match="must end in logits"):
        tell_story(model, stripes.test.images[:1])


def test_the_words(story):
    lines = story_text(story, "mnist", "test image 0 (1)").splitlines()
    assert lines[0] == "peernet on test image 0 (1)"
    assert [line.split("  ")[1] for line in lines[2:5]] == [
        "clean",
        "PGD-20, exact gradient",
        "PGD-20, identity backward",
    ]
    text = "\n".join(lines)
    # Drawn with another stream than the model's own peers.
    assert "of 6 peers drawn with --seed; an even share is 16.7%" in text
    first = int(np.argmax(story.views[0].explanation.shares[0]))
    assert f"training image {story.graph.indices[first]}, " in text


def test_the_words_of_two_classes(stripes):
    linear = make_linear()
    outputs = keras.layers.Dense(2)(linear.output)
    model = keras.Model(linear.input, outputs, name="binary")
    story = tell_story(model, stripes.test.images[:1])
    lines = story_text(story, "data.npz", "an image").splitlines()
    assert lines[1].split() == ["predicted", "second"]


def test_the_attack_is_that_of_grey_or_colour_images():
    assert default_attack(3).epsilon == 8 / 255
    assert default_attack(1).epsilon == 0.3
    assert backward_name(None) == "clean"


def test_models_of_other_inputs_are_refused(stripes):
    assert image_shape(make_linear()) == SHAPE
    for shape in ((12, 12, 2), (None, None, 3), (12,)):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, keras.layers.ReLU()(inputs))
        with pytest.raises(UserError, match="fixed size"):
            image_shape(model)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    with pytest.raises(UserError, match="0 to 255"):
        tell_story(model, stripes.test.images[:1])
