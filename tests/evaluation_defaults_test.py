"""The data set and the folder of an evaluation where nobody names them."""

import os

import pytest
import sample_records

from peernets_tf import evaluation, models, records
from peernets_tf.adaptive import Ablation
from peernets_tf.errors import UserError
from peernets_tf.evaluation import AttackConfig, EvaluationConfig, GraphsConfig


def test_the_record_of_a_preset_names_its_data_set():
    path = models.preset_path("cifar10_pr_resnet32")
    assert evaluation.trained_on(path) == "cifar10"


def test_the_record_in_a_models_folder_names_its_data_set(tmp_path):
    record = sample_records.make_training(dataset="mnist5k")
    records.write(record, str(tmp_path / "record.json"))
    path = str(tmp_path / "model.keras")
    assert evaluation.trained_on(path) == "mnist5k"


def test_without_the_record_of_a_training_the_flag_is_needed(tmp_path):
    path = str(tmp_path / "model.keras")
    with pytest.raises(UserError, match="--dataset"):
        evaluation.trained_on(path)
    records.write(sample_records.make_attack(), str(tmp_path / "record.json"))
    with pytest.raises(UserError, match="--dataset"):
        evaluation.trained_on(path)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"backward": "soft"}, "pgd_soft"),
        (
            {
                "attack": AttackConfig(name="pgd", search=True),
                "graphs": GraphsConfig(num_peers=5, num_graphs=2),
            },
            "pgd_search_exact_5x2",
        ),
        (
            {
                "attack": AttackConfig(name="noise"),
                "graphs": GraphsConfig(num_graphs=2),
                "ablation": Ablation(name="random_neighbors", num_neighbors=3),
            },
            "noise_exact_Nx2_random_neighbors_3nn",
        ),
        (
            {"graphs": GraphsConfig(policy="fresh", num_graphs=2)},
            "pgd_exact_fresh_Nx2",
        ),
        (
            {"graphs": GraphsConfig(expectation=4), "rejected_as": "right"},
            "pgd_exact_eot4_rejected_as_right",
        ),
        ({"precision": "mixed_bfloat16"}, "pgd_exact_mixed_bfloat16"),
        ({"transfer_from": "c/d.keras"}, "pgd_exact_from_c_d"),
    ],
)
def test_default_folder(config, name):
    checkpoint = os.path.join("a", "b.keras")
    config = EvaluationConfig(
        **{"attack": AttackConfig(name="pgd"), "output_dir": "", **config}
    )
    folder = evaluation.default_folder(checkpoint, config)
    assert folder == os.path.join("runs", "attacks", f"a_b_{name}")
