"""A run, published: small, whole, and with the counts of the small model."""

import dataclasses

import numpy as np
import pytest
from commands import check_errors, run_command
from sample_records import (
    THREAT_MODEL,
    make_attack,
    make_case,
    make_comparison,
    make_comparison_row,
    make_provenance,
    make_suite,
    make_suite_case,
    make_suite_result,
    make_training,
)

from peernets_tf import datasets, models, peers, records, training
from peernets_tf.errors import UserError


def run(module, *flags):
    result = run_command(module, *flags)
    assert result.status == 0, result.stderr
    return result.stdout


def test_publish(npz_path, tmp_path):
    run_dir, published = tmp_path / "run", tmp_path / "published"
    run(
        "peernets_tf.train",
        f"--dataset={npz_path}",
        f"--output_dir={run_dir}",
        "--epochs=1",
        "--num_peers=8",
        "--num_graphs=3",
    )
    run(
        "peernets_tf.publish",
        f"--run_dir={run_dir}",
        f"--output_dir={published}",
        "--name=stripes",
        "--test_size=20",
    )
    whole = peers.stored_peers(models.load(run_dir / "model.keras"))
    small = models.load(published / "stripes.keras")
    bank = peers.stored_peers(small)
    assert (whole.num_graphs, bank.num_graphs) == (3, 1)
    for a, b in zip(bank.features, whole.features, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    record = records.read(str(published / "stripes.json"))
    assert record.weights_sha256 == models.weights_sha256(small)
    assert (record.test_size, record.graphs.num_graphs) == (20, 1)
    test = datasets.load(npz_path).test.first(20)
    correct = training.count_correct(small, test, verbose=0)
    assert record.correct == correct
    card = (published / "stripes.md").read_text()
    run_record = records.read(str(run_dir / "record.json"))
    assert card == training.model_card(
        "stripes", run_record, record, is_preset=False
    )
    assert 'model = peernets_tf.models.load("stripes.keras")' in card
    changed = dict(np.load(npz_path))
    changed["x_test"] = 255 - changed["x_test"]
    np.savez(npz_path, **changed)
    flags = [f"--run_dir={run_dir}", f"--output_dir={published}"]
    check_errors(
        "peernets_tf.publish",
        [
            ([*flags, "--name=a"], "must hold the images of the training"),
            ([*flags, "--name=a.suite"], "must not end in .suite"),
        ],
    )
    models.save(small, str(run_dir / "model.keras"))
    flags = [f"--run_dir={run_dir}", f"--output_dir={published}", "--name=b"]
    check_errors(
        "peernets_tf.publish", [(flags, f"must be the model of {run_dir}")]
    )


def test_the_card_says_where_the_model_comes_from():
    run_record = make_training()
    published = make_training(test_size=100, correct=99)
    card = training.model_card("name", run_record, published)
    assert "weights of a lenet5 that was trained for 8 epochs" in card
    assert "98.50% ±2.82 of 200 images" in card
    assert "averaged over 10 graphs of 50 peers" in card
    assert "99.00% ±4.45 of the first 100" in card
    assert run_record.provenance.command in card
    bare = make_training(graphs=None, initial_model=None)
    card = training.model_card("name", bare, bare)
    assert "from random weights" in card
    assert "graph" not in card
    assert "No attack of a given strength on this model was recorded" in card


def test_a_model_never_stands_beside_the_record_of_another(
    npz_path, tmp_path, monkeypatch
):
    run_dir, published = tmp_path / "run", tmp_path / "published"
    run(
        "peernets_tf.train",
        f"--dataset={npz_path}",
        f"--output_dir={run_dir}",
        "--model=lenet5",
        "--epochs=1",
        "--batch_size=32",
    )
    config = training.PublishingConfig(
        run_dir=str(run_dir), name="a", output_dir=str(published)
    )
    training.publish(config)

    def fail(*_):
        raise OSError("No space left on device")

    def contents():
        return {p.name: p.read_bytes() for p in published.iterdir()}

    before = contents()
    monkeypatch.setattr(models, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        training.publish(config)
    assert contents() == before
    monkeypatch.undo()
    monkeypatch.setattr(records, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        training.publish(config)
    assert not list(published.glob("*.keras"))
    with pytest.raises(UserError, match="must not be the folder of a run"):
        dataclasses.replace(config, output_dir=str(run_dir), name="model")


def test_the_card_shows_the_attacks_on_its_weights():
    published = make_training(weights_sha256="0")
    attack = make_attack()
    others = [
        make_attack(weights_sha256="1"),
        make_attack(ablation="no_layers"),
        make_training(),
    ]
    assert training.attacks_on(published, [attack, *others]) == [attack]
    fewer = make_case(total=100, correct=80, adversarial_correct=1, changed=79)
    suite = make_suite(weights_sha256="0")
    found = [attack, make_attack(test_size=100, cases=(fewer,)), suite]
    card = training.model_card("name", published, published, found)
    table = card.split("## Accuracy under attack\n\n")[1].split("\n\n")[0]
    rows = [[*map(str.strip, row.split("|"))] for row in table.splitlines()[2:]]
    assert [row[1] for row in rows] == ["suite adaptive", attack.attack]
    assert rows[0][2] == "exact"
    assert rows[1][4:7] == ["ρ 0.08 unit", "200", "50.0% ±6.9"]


def test_the_card_names_the_backward_passes_that_attacked():
    """Only those that count, and had an image left."""
    cases = [
        make_suite_case(),
        make_suite_case(name="pgd-identity", backward="identity"),
        make_suite_case(name="pgd-soft", backward="soft", attacked=0, fooled=0),
        make_suite_case(name="apgd-soft", backward="soft", is_counted=False),
        make_suite_case(name="square", access="black-box", robust=40),
    ]
    published = make_training(weights_sha256="0")
    for threat_model, shown, expected in (
        (THREAT_MODEL, cases, "exact, identity"),
        (THREAT_MODEL, cases[2:], "-"),
        (None, cases[:1], "-"),
        (None, cases[:2], "exact, identity"),
    ):
        shown = [dataclasses.replace(case, robust=40) for case in shown]
        suite = make_suite(
            threat_model=threat_model,
            result=make_suite_result(cases=tuple(shown)),
        )
        card = training.model_card("name", published, published, [suite])
        (line,) = [x for x in card.splitlines() if "| suite" in x]
        assert line.split("|")[2].strip() == expected


def test_the_card_names_the_recipe():
    flags = {
        "optimizer": "nesterov",
        "momentum": 0.9,
        "learning_rate": 0.1,
        "schedule": "cosine",
        "batch_size": 128,
        "l2": 0.0005,
        "augment": True,
    }
    adversarial = {
        "momentum": 0.9,
        "step_size_schedule": [[0, 0.1], [2000, 0.03]],
        "training_batch_size": 64,
        "weight_decay": 0.0002,
        "augment": False,
    }
    for changes, expected in (
        (
            {},
            "nesterov 0.9, learning rate 0.1 (cosine), L2 0.0005, batches of "
            "128 images, shifted and mirrored at random.",
        ),
        (
            {"optimizer": "adam", "augment": False},
            "adam, learning rate 0.1 (cosine), L2 0.0005, batches of 128 "
            "images.",
        ),
        (
            {"noise_std": 0.05, "noise_share": 0.5, "precision": "float32"},
            "nesterov 0.9, learning rate 0.1 (cosine), L2 0.0005, batches of "
            "128 images, shifted and mirrored at random, 50% of them with "
            "Gaussian noise of standard deviation 0.05.",
        ),
        (
            {
                "schedule": "step",
                "decay_epochs": [10, 20],
                "decay_factor": 0.1,
                "noise_std": 0.0,
                "augment": False,
                "precision": "mixed_bfloat16",
            },
            "nesterov 0.9, learning rate 0.1 (times 0.1 after epochs 10, 20), "
            "L2 0.0005, batches of 128 images, in mixed_bfloat16.",
        ),
    ):
        assert f"- Recipe: {expected}\n" in card_of({**flags, **changes})
    assert (
        "- Recipe: momentum 0.9, learning rate 0.1 from step 0, 0.03 from step "
        "2,000, L2 0.0002, batches of 64 images.\n"
    ) in card_of(adversarial)
    assert "Recipe" not in card_of({})


def card_of(flags):
    """Returns the card of a training with some flags."""
    provenance = make_provenance(flags=flags)
    run = make_training(provenance=provenance)
    return training.model_card("name", run, run)


def rows_of_card(attacks):
    """Returns the cells of the attacks on a card's model."""
    graphs = THREAT_MODEL.defended
    published = make_training(weights_sha256="0", graphs=graphs)
    card = training.model_card("name", published, published, attacks)
    table = card.split("## Accuracy under attack\n\n")[1].split("\n\n")[0]
    return [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in table.splitlines()[2:]
    ]


def test_a_card_does_not_flatter():
    """Of attacks on equally many images the strongest counts, as a number."""
    weak = make_case(adversarial_correct=90, changed=110, fooled=70)
    strong = make_case(adversarial_correct=9, changed=190, fooled=151)
    for cases in ((weak, strong), (strong, weak)):
        attacks = [make_attack(cases=(case,)) for case in cases]
        (row,) = rows_of_card(attacks)
        assert row[-2:] == ["200", "4.5% ±3.8"]


def test_the_limits_follow_from_the_attacks():
    def limits(attacks, graphs=THREAT_MODEL.defended):
        run = make_training(weights_sha256="0", graphs=graphs)
        card = training.model_card("name", run, run, attacks)
        return " ".join(card.split("## Limits")[1].split())

    exact = make_attack(backward="exact")
    identity = make_attack(
        backward="identity",
        test_size=100,
        cases=(
            make_case(total=100, correct=90, adversarial_correct=5, fooled=60),
        ),
    )
    assert "an attack on 200 test images" in limits([exact])
    assert "No attack followed the `identity`" in limits([exact])
    both = limits([exact, identity])
    assert "an attack on 100 to 200 test images" in both
    assert "rely on the rows with the `identity` backward pass" in both
    assert "`identity`" not in limits([exact], graphs=None)
    assert "Each row above" not in limits([])


def test_a_card_says_what_a_rejected_image_counts_as():
    attacks = [make_attack(rejected_as=x) for x in ("right", "wrong")]
    suite = make_suite(
        weights_sha256="0", result=make_suite_result(rejected_as="wrong")
    )
    assert [row[0] for row in rows_of_card([*attacks, suite])] == [
        "suite adaptive (rejected is wrong)",
        "universal.deepfool (rejected is right)",
        "universal.deepfool (rejected is wrong)",
    ]
    run_record = make_training(rejected=3)
    card = training.model_card("name", run_record, run_record)
    assert "the last one is the largest where the image is rejected" in card


def test_a_card_tells_images_of_another_model_apart():
    rows = rows_of_card([make_attack(), make_attack(transfer_from="a.keras")])
    assert [row[0] for row in rows] == [
        "universal.deepfool",
        "universal.deepfool from a.keras",
    ]
    assert [row[2] for row in rows] == ["50 x 10, known", "50 x 10"]


def test_a_card_shows_balls_without_a_suite_and_every_size_of_graphs():
    ball = make_case(norm="linf", epsilon=0.3, rho=None)
    (row,) = rows_of_card([make_attack(cases=(ball,))])
    assert row[3] == "L-inf 0.3"
    other = dataclasses.replace(
        THREAT_MODEL, defended=records.Graphs(num_peers=7, num_graphs=1)
    )
    attacks = [make_attack(threat_model=other), make_attack()]
    assert {row[2] for row in rows_of_card(attacks)} == {
        "50 x 10, known",
        "7 x 1, known",
    }


def test_a_card_shows_its_rows_of_table_6():
    other = make_comparison_row(weights_sha256="1", threat_model=None)
    comparison = make_comparison(rows=(make_comparison_row(), other))
    rows = rows_of_card([comparison])
    assert [row[:3] for row in rows] == [
        ["pgd of the challenge", backward, "50 x 10, known"]
        for backward in ("exact", "identity")
    ]
    assert {row[3] for row in rows} == {"L-inf 8/255"}


def test_the_files_of_another_training_are_not_replaced(tmp_path):
    run_dir, other = tmp_path / "run", tmp_path / "other"
    for folder in (run_dir, other):
        folder.mkdir()
        (folder / "run.json").touch()
    records.write(make_training(), str(run_dir / "record.json"))
    (run_dir / "model.keras").touch()
    for folder in (run_dir, other):
        with pytest.raises(UserError, match="must not be the folder of a run"):
            training.PublishingConfig(
                run_dir=str(run_dir), name="model", output_dir=str(folder)
            )


def test_bad_input_is_one_clear_line(tmp_path):
    flags = [f"--run_dir={tmp_path}", "--name=a", f"--output_dir={tmp_path}"]
    check_errors(
        "peernets_tf.publish",
        [
            (["--name=a"], "run_dir"),
            ([*flags, "--name=../a"], "--name must be"),
            ([*flags, "--name="], "--name must be"),
            (flags, "record.json"),
            ([*flags, "b"], "not a flag: b"),
        ],
    )
