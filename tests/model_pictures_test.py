"""Pictures of models: each is drawn once, or the page says why it is not."""

import numpy as np
import pytest
from networks_test import attack_on
from sample_records import make_attack, make_case

from peernets_tf import pictures
from peernets_tf.errors import UserError
from peernets_tf.pictures import model_pictures
from peernets_tf.records import Source


@pytest.fixture
def drawn(monkeypatch):
    """Replaces what is slow; returns the names of models that were shown."""
    shown = []

    def peers(model, dataset, *, seed):
        shown.append((model.name, dataset.name, seed))
        return [picture("neighbors"), picture("franken")]

    def strengths(models, dataset, *, seed):
        shown.append(([m.name for m in models], dataset.name, seed))
        raise UserError("all models must classify the same image correctly")

    monkeypatch.setattr(model_pictures, "peer_pictures", peers)
    monkeypatch.setattr(model_pictures, "strength_pictures", strengths)
    return shown


def picture(name):
    return pictures.Picture(
        name=name, title=name, caption="None.", alt="None.", draw=None
    )


def sources(folder):
    changes = {"dataset": "mnist5k"}
    plain = attack_on("mnist_lenet5", threat_model=None, **changes)
    peernet = attack_on("mnist_pr_lenet5", **changes)
    return [
        Source(path=str(folder / f"{i}.json"), record=record)
        for i, record in enumerate([peernet, plain, peernet])
    ]


def test_networks_are_shown_together(drawn, tmp_path):
    said = []
    made, missing = model_pictures.model_pictures(
        sources(tmp_path), seed=3, say=said.append
    )
    assert drawn == [
        ("pr_lenet5", "mnist5k", 3),
        (["lenet5", "pr_lenet5"], "mnist5k", 3),
    ]
    # A name tells its data set from others.
    assert [p.name for p in made] == ["neighbors_mnist5k", "franken_mnist5k"]
    assert said == [
        "Drawing Figures 1 and 3 (mnist5k) ...",
        "Drawing Figures 6 and 9 (mnist5k) ...",
    ]
    plain, peernet, failed = missing
    assert "1.json are not beside it" in plain
    assert "0.json are not beside it" in peernet
    assert failed.startswith("Figures 6 and 9 (mnist5k): all models must")


def test_perturbations_beside_a_record_are_shown(drawn, tmp_path):
    for i in (1, 2):
        (tmp_path / str(i)).mkdir()
        np.save(
            tmp_path / str(i) / "perturbation_rho_0.2.npy",
            np.full((28, 28, 1), 0.05, np.float32),
        )
    made, missing = model_pictures.model_pictures(
        sources(tmp_path), say=lambda line: None
    )
    assert [p.name for p in made if p.name.startswith("figure_")] == [
        "figure_4_universal_perturbations_mnist5k",
        "figure_8_universal_images_mnist5k",
    ]
    assert not any("beside it" in line for line in missing)


def test_a_data_set_of_a_file_names_no_folder():
    shown = model_pictures._of_dataset(picture("figure_1"), "data/mine.npz")
    assert shown.name == "figure_1_data_mine_npz"
    assert shown.title == "figure_1 (data/mine.npz)"


def test_different_budgets_are_told_apart():
    def fit(model, **changes):
        source = (
            f"UniversalGradient(passes={changes.pop('passes')}) on 2000 "
            "training images"
        )
        case = make_case(attack=f"FixedPerturbation(source={source!r})")
        record = make_attack(
            model=model, attack="universal.gradient", cases=(case,), **changes
        )
        return None, record, {}

    five = (
        "Fitted by universal gradient in up to 5 passes over 2,000 training "
        "images."
    )
    plain = fit("lenet5", passes=5, backward="exact")
    assert model_pictures._budget([plain, plain]) == five
    assert model_pictures._budget([plain, fit("pr_lenet5", passes=1)]) == (
        f"LeNet-5, exact: {five} PR-LeNet-5, identity: "
        f"{five.replace('up to 5 passes', '1 pass')}"
    )
