"""The rows of Table 6, their schedules and budgets."""

import pytest

from madry_challenge import table6
from madry_challenge.config import Config

FULL = table6.BUDGETS["full"]


def test_the_published_schedules():
    rows = table6.rows(Config(), FULL, "soft")
    assert tuple(row.key for row in rows) == table6.TRAINED
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
    for key in ("pr_resnet32", "pr_resnet32_exact", "pr_resnet32_bpda"):
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
    budget = table6.BUDGETS[name]
    for row, whole in zip(
        table6.rows(Config(), budget, "identity"),
        table6.rows(Config(), FULL, "identity"),
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


def test_published_models_have_rows_of_their_own():
    rows = table6.rows(Config(), table6.BUDGETS["minutes"], "identity")
    trained_on = {row.key: row.trained_on for row in rows}
    assert set(trained_on) == set(table6.KEYS)
    assert list(table6.PUBLISHED) == [
        k for k in trained_on if k in table6.PUBLISHED
    ]
    assert trained_on["resnet32_fgsm"] == "FGSM"
    assert trained_on["pr_resnet32_fgsm"] == "FGSM, identity"
    assert trained_on["resnet32_a"] == "PGD"
