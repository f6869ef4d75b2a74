"""The pictures of universal perturbations show what the networks predict."""

import numpy as np
import pytest
from sample_records import make_provenance
from small_models import SHAPE, classifiers, make_linear, make_peernet

from peernets_tf import attacks, peers, pictures, records
from peernets_tf.errors import UserError
from peernets_tf.pictures import examples, panels, universal

RHOS = (0.1, 0.5)


@pytest.fixture(scope="module")
def models(stripes):
    return [make_linear(), make_peernet(stripes)]


@pytest.fixture
def perturbations(rng):
    v = rng.normal(0, 0.1, SHAPE).astype("float32")
    return [{rho: rho * v for rho in RHOS}, {rho: -rho * v for rho in RHOS}]


def texts(figure):
    """All that stands below images, in the order of the axes."""
    return [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]


def drawn(picture):
    with pictures.styled(pictures.LIGHT):
        return picture.draw(pictures.LIGHT)


def test_labels_are_the_predictions(models, perturbations, stripes):
    _, shown = pictures.universal_pictures(
        models, perturbations, stripes, num_images=2
    )
    correct = examples.correct_images(classifiers(models), stripes.test, 30)
    clean = examples.of_different_classes(correct, 2)
    found = texts(drawn(shown))
    expected = []
    for image, label in zip(clean.images, clean.labels, strict=True):
        for row, (model, vs) in enumerate(
            zip(models, perturbations, strict=True)
        ):
            if row == 0:
                expected.append(f"✓ class {label}")
            for rho in RHOS:
                perturbed = attacks.apply_perturbation(image, vs[rho])
                logits = peers.monte_carlo(model)(perturbed[None])
                predicted = int(np.argmax(logits[0]))
                mark = "✓" if predicted == label else "✗"
                expected.append(f"{mark} class {predicted}")
    assert found == expected


def test_norms_are_those_of_the_perturbations(models, perturbations, stripes):
    shown, _ = pictures.universal_pictures(models, perturbations, stripes)
    found = texts(drawn(shown))
    for vs in perturbations:
        for v in vs.values():
            l2 = 255 * np.linalg.norm(v)
            linf = 255 * np.abs(v).max()
            assert panels.norms_text(l2, linf) in found


def test_both_themes_render(models, perturbations, stripes):
    for picture in pictures.universal_pictures(
        models,
        perturbations,
        stripes,
        backwards=("exact", "identity"),
        num_images=3,
    ):
        for theme in (pictures.LIGHT, pictures.DARK):
            png = pictures.render(picture, theme, "png")
            assert png.startswith(b"\x89PNG")
        assert stripes.name in picture.caption


def test_a_network_may_come_twice(models, perturbations, stripes):
    peernet = models[1]
    shown, _ = pictures.universal_pictures(
        [peernet, peernet],
        perturbations,
        stripes,
        backwards=("exact", "identity"),
    )
    labels = {axes.get_ylabel() for axes in drawn(shown).axes}
    assert {"peernet\nexact", "peernet\nidentity"} <= labels


def test_only_common_rhos_are_shown(models, perturbations, stripes):
    del perturbations[0][0.1]
    shown, _ = pictures.universal_pictures(models, perturbations, stripes)
    heads = {axes.get_title(loc="center") for axes in drawn(shown).axes}
    assert heads - {""} == {"original", "ρ = 0.5"}


def test_refuses_what_does_not_fit(models, perturbations, stripes):
    with pytest.raises(UserError, match="one mapping for each"):
        pictures.universal_pictures(models, perturbations[:1], stripes)
    with pytest.raises(UserError, match=r"in common. Received: \[\] and \[0"):
        pictures.universal_pictures(models, [{}, perturbations[1]], stripes)
    wrong = [{0.1: np.zeros((3, 3, 1), "float32")}, perturbations[1]]
    with pytest.raises(UserError, match=r"shape, \(12, 12, 1\)"):
        pictures.universal_pictures(models, wrong, stripes)


def test_budget():
    case = records.AttackCase(
        attack='FixedPerturbation(source="UniversalGradient(passes=5, '
        'batch_size=32) on 2000 training images, 315 batches")',
        norm="l2",
        epsilon=1.0,
        rho=0.04,
        total=10,
        correct=9,
        adversarial_correct=1,
        changed=9,
        fooled=8,
        zero_gradients=None,
        mean_l2=None,
        mean_linf=None,
    )
    record = records.AttackRecord(
        model="resnet32",
        checkpoint="cifar10_resnet32",
        weights_sha256="0",
        dataset="cifar10",
        test_size=10,
        attack="universal.gradient",
        is_universal=True,
        follows_gradient=True,
        backward="exact",
        cases=(case,),
        provenance=make_provenance(),
    )
    assert universal.budget_of(record) == (
        "Fitted by universal gradient in up to 5 passes over 2,000 training "
        "images."
    )
