"""The rows of Table 6, their schedules, and the table."""

import pytest

from madry_challenge import comparison
from madry_challenge.config import Config
from madry_challenge.evaluation import attack_of

FULL = comparison.BUDGETS["full"]


def test_the_published_schedules():
    rows = comparison.rows(Config(), FULL, "soft")
    found = {row.key: row.settings for row in rows}
    assert found["resnet32_a"].max_num_training_steps == 80_000
    assert found["resnet32_a"].weight_decay == 2e-4
    # 350 epochs of 390 batches of 128, and of 781 of 64.
    for key in ("resnet32", "resnet32_b"):
        assert found[key].max_num_training_steps == 136_500
        schedule = found[key].step_size_schedule
        assert [step for step, _ in schedule] == [0, 39_000, 68_250, 97_500]
        assert [rate for _, rate in schedule] == pytest.approx(
            [0.1, 0.01, 0.001, 0.0001]
        )
    for key in ("pr_resnet32", "pr_resnet32_exact", "pr_resnet32_surrogate"):
        assert found[key].max_num_training_steps == 273_350
        assert found[key].training_batch_size == 64
        assert found[key].step_size_schedule[0] == (0, 0.01)
    steps = {row.key: row.settings.num_steps for row in rows}
    assert [key for key in steps if not steps[key]] == [
        "resnet32",
        "pr_resnet32",
    ]
    assert rows[-1].backward == "soft"
    assert [row.trained_on for row in rows[-3:]] == [
        "images",
        "PGD, exact",
        "PGD, soft",
    ]


@pytest.mark.parametrize("name", ["smoke", "hour"])
def test_shorter_budgets_keep_the_shape_of_schedules(name):
    budget = comparison.BUDGETS[name]
    for row, whole in zip(
        comparison.rows(Config(), budget, "identity"),
        comparison.rows(Config(), FULL, "identity"),
        strict=True,
    ):
        steps = row.settings.max_num_training_steps
        assert steps == budget.steps[row.key]
        scale = steps / whole.settings.max_num_training_steps
        rates = [rate for _, rate in row.settings.step_size_schedule]
        assert rates == [rate for _, rate in whole.settings.step_size_schedule]
        for (step, _), (published, _) in zip(
            row.settings.step_size_schedule,
            whole.settings.step_size_schedule,
            strict=True,
        ):
            assert abs(step - scale * published) < 3
        assert row.settings.num_steps == whole.settings.num_steps
        # Only a shortened training starts from another's weights.
        assert (row.start is None) == (row.key == "resnet32")
        assert whole.start is None


def record_of(dataset="cifar10", attack=None, attack_mode="train"):
    case = {"total": 200, "correct": 150, "adversarial_correct": 33}
    case["attack"] = attack or repr(attack_of(Config()))
    training = {"options": {"attack_mode": attack_mode}}
    rows = [
        {
            "key": key,
            "name": name,
            "trained_on": trained_on,
            "steps": steps,
            "training": training if steps[-1] else None,
            "peers": {"judged": {}} if len(backwards) > 1 else {},
            "cases": [{"backward": backward, **case} for backward in backwards],
        }
        for key, name, trained_on, steps, backwards in (
            ("resnet32", "ResNet-32", "images", [4], ["exact"]),
            ("resnet32_a", "ResNet-32 A", "PGD", [None], ["exact"]),
            ("resnet32_b", "ResNet-32 B", "PGD", [None, 2], ["exact"]),
            (
                "pr_resnet32",
                "PR-ResNet-32",
                "images",
                [4, 5],
                ["exact", "identity"],
            ),
        )
    ]
    return comparison.ComparisonResult(
        rows=rows,
        budget="smoke",
        dataset=dataset,
        test_size=200,
        seed=0,
        flags={},
        command="",
        commit="",
        versions={},
        device="",
        seconds=1.0,
    )


def test_the_table():
    rows = comparison.table_rows(record_of())
    ours = ("200", "75.0%", "16.5%")
    assert rows == [
        ("ResNet-32", "images", "-", "4", "-", *ours, "-", "-"),
        ("ResNet-32 A", "PGD", "-", "file", "-", *ours, "78.9%", "45.5%"),
        ("ResNet-32 B", "PGD", "train", "file + 2", "-", *ours)
        + ("75.6%", "42.5%"),
        ("PR-ResNet-32", "images", "-", "4 + 5", "exact", *ours)
        + ("77.4%", "64.8%"),
        ("PR-ResNet-32", "images", "-", "4 + 5", "identity", *ours, "-", "-"),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": "stripes.npz"},
        {"attack": repr(attack_of(Config(num_steps=20, step_size=1.0)))},
        {"attack": repr(attack_of(Config(loss_func="cw")))},
    ],
)
def test_the_papers_figures_stand_beside_its_attack_only(changed):
    for row in comparison.table_rows(record_of(**changed)):
        assert row[-2:] == ("-", "-")


def test_reads_only_records(tmp_path):
    path = tmp_path / "record.json"
    path.write_text('{"rows": []}')
    with pytest.raises(ValueError, match="is not the record of a comparison"):
        comparison.read(str(path))
