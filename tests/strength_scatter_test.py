"""The points are the norms of the perturbations."""

import numpy as np
import pytest
from small_models import classifiers, make_linear, make_peernet

from peernets_tf import attacks, pictures
from peernets_tf.pictures import examples, smallest
from peernets_tf.pictures.strength_scatter import scatter_picture


@pytest.fixture(scope="module")
def models(stripes):
    return [make_linear(), make_peernet(stripes)]


def test_points_are_the_norms(models, stripes):
    split = examples.correct_images(classifiers(models), stripes.test, 6)
    search = attacks.SmallestEpsilon.over(
        attacks.FGSM, image_shape=split.images.shape[1:]
    )
    views = smallest.views(models)
    found = [smallest.search(v, split, search, seed=0) for v in views]
    picture = scatter_picture("stripes", views, found, "FGSM")
    with pictures.styled(pictures.LIGHT):
        axes = picture.draw(pictures.LIGHT).axes[0]
    x, *others = (np.where(f.fooled, f.linf, 255) for f in found)
    assert len(axes.collections) == len(others) == 2
    for points, y in zip(axes.collections, others, strict=True):
        np.testing.assert_allclose(points.get_offsets(), np.stack([x, y], 1))
    assert f"linear: median {np.median(x):.3g}" in picture.caption
    assert "6 test images of stripes" in picture.caption
    assert "found by FGSM" in picture.caption


def test_what_nothing_fools_stands_at_the_top(models, stripes):
    views = smallest.views(models)[:2]
    split = examples.correct_images(classifiers(models), stripes.test, 2)
    search = attacks.SmallestEpsilon.over(
        attacks.FGSM, image_shape=split.images.shape[1:]
    )
    found = smallest.search(views[0], split, search, seed=0)
    none = smallest.Found(
        adversarial=split.images,
        perturbations=0 * split.images,
        predictions=split.labels,
        fooled=np.zeros(2, bool),
        l2=np.zeros(2),
        linf=np.zeros(2),
    )
    picture = scatter_picture("stripes", views, [found, none], "FGSM")
    with pictures.styled(pictures.LIGHT):
        axes = picture.draw(pictures.LIGHT).axes[0]
    (points,) = axes.collections
    np.testing.assert_array_equal(points.get_offsets()[:, 1], [255, 255])
    assert "median 255, 2 not fooled" in picture.caption
