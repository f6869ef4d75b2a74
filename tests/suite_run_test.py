"""An evaluation by a suite: its record, its folder, peers, and the command."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import sample_records
import suite_models
from commands import check_errors, run_command
from small_models import make_linear, make_peernet

from peernets_tf import evaluation, models, monte_carlo, records
from peernets_tf.errors import UserError
from peernets_tf.evaluation import (
    GraphsConfig,
    SuiteConfig,
    suites,
)
from peernets_tf.evaluation.suite_run import suite_identity
from peernets_tf.evaluation.suite_views import Views
from peernets_tf.evaluation.target import Target

MODULE = "peernets_tf.evaluate"
SETTINGS = {"epsilon": 0.353, "budget": 0.02, "batch_size": 12}


@pytest.fixture(scope="module")
def linear():
    return make_linear()


@pytest.fixture
def short(monkeypatch):
    """Leaves in the suite what compiles fast."""
    kept = ("noise", "fgsm", "pgd", "pgd-identity", "square")
    steps = [s for s in suites.SUITES["adaptive"] if s.name in kept]
    monkeypatch.setitem(suites.SUITES, "adaptive", tuple(steps))


@pytest.fixture(scope="module")
def peernet(stripes):
    return make_peernet(stripes)


def make_config(folder="", **changes):
    fields = {"suite": "adaptive", **SETTINGS, **changes}
    return SuiteConfig(output_dir=str(folder), **fields)


def evaluate(model, dataset, folder, *, commit="abc", **changes):
    return evaluation.evaluate_suite(
        model,
        dataset,
        make_config(folder, **changes),
        checkpoint="model.keras",
        provenance=sample_records.make_provenance(commit=commit, seconds=None),
    )


def test_the_record(linear, stripes, tmp_path, capsys):
    record = evaluate(linear, stripes, tmp_path, test_size=20)
    assert records.read(str(tmp_path / "record.json")) == record
    assert record.weights_sha256 == models.weights_sha256(linear)
    assert record.test_size == record.result.total == 20
    assert record.threat_model is None
    assert record.provenance.seconds > 0
    result = record.result
    assert (result.suite, result.norm, result.budget) == (
        "adaptive",
        "linf",
        0.02,
    )
    assert result.cases[0].name == "noise"
    assert 0 <= result.robust < result.correct == 20
    printed = capsys.readouterr().out
    assert "with the suite adaptive in" in printed
    # The bars of attacks, as a single attack has them.
    assert "\nfgsm\n12/20 images (60%)" in printed


def make_random():
    """The linear model, whose draws decide many of its predictions."""
    linear = make_linear(scale=0.01)
    noisy = suite_models.KeyedNoise()(linear.output)
    return keras.Model(linear.input, noisy, name="random")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("make", [make_linear, make_random])
def test_interrupted_equals_uninterrupted(make, stripes, tmp_path):
    linear = make()
    whole = evaluate(linear, stripes, tmp_path)
    log = tmp_path / "batches.jsonl"
    text = log.read_text()
    lines = text.splitlines(keepends=True)
    # Three batches of unperturbed images, and of each attack on all of them.
    assert len(lines) > 12
    for kept in (1, 7, len(lines) - 1):
        log.write_text("".join(lines[:kept]) + lines[kept][:9])
        resumed = evaluate(linear, stripes, tmp_path, commit="later")
        assert resumed.result == whole.result
        assert log.read_text() == text
        # The figures are of the code that began.
        assert resumed.provenance.commit == "abc"


@pytest.mark.usefixtures("short")
def test_resuming_attacks_no_batch_twice(
    linear, stripes, tmp_path, monkeypatch
):
    whole = evaluate(linear, stripes, tmp_path)

    def refuse(*args):
        raise AssertionError("a batch was attacked again")

    monkeypatch.setattr(Target, "perturb", refuse)
    assert evaluate(linear, stripes, tmp_path).result == whole.result


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [0, 1, 30]}, "images must be"),
        ({"images": []}, "images must be"),
        ({"fooled": [29]}, "fooled must be among images"),
        ({"queries": -1}, "queries"),
        # Possible places, but not those that were left.
        ({"images": [1, 0], "fooled": []}, "is of other images"),
    ],
)
def test_a_damaged_log_is_refused(change, message, linear, stripes, tmp_path):
    evaluate(linear, stripes, tmp_path, test_size=20)
    log = tmp_path / "batches.jsonl"
    lines = log.read_text().splitlines()
    row = {**json.loads(lines[3]), **change}
    assert row["key"] == "fgsm/0" or row["key"].startswith("noise")
    log.write_text("\n".join([*lines[:3], json.dumps(row)]) + "\n")
    with pytest.raises(UserError, match=f"{message}.*Remove it"):
        evaluate(linear, stripes, tmp_path, test_size=20)


@pytest.mark.usefixtures("short")
def test_a_folder_is_for_one_evaluation(linear, stripes, tmp_path):
    evaluate(linear, stripes, tmp_path, test_size=10, budget=0.01)
    for changes, key in (
        ({"seed": 1}, "seed"),
        ({"epsilon": 0.2}, "steps"),
        ({"budget": 0.05}, "budget"),
        ({"test_size": 9}, "test_size"),
    ):
        same = {"test_size": 10, "budget": 0.01}
        with pytest.raises(UserError, match=f"{key}.*another --output_dir"):
            evaluate(linear, stripes, tmp_path, **{**same, **changes})


def test_an_identity_is_json_and_holds_what_figures_depend_on(linear, stripes):
    found = suite_identity(linear, stripes, make_config())
    assert {"precision", "rejected_as", "transfer_sha256"} <= found.keys()
    assert found["steps"][0]["epsilon"] is None
    assert json.loads(json.dumps(found)) == found
    assert found["kind"] == "suite"
    other = make_linear(scale=0.2)
    for changed in (
        suite_identity(other, stripes, make_config()),
        suite_identity(linear, stripes, make_config(norm="l2")),
        suite_identity(linear, stripes, make_config(), other),
        suite_identity(
            linear, dataclasses.replace(stripes, sha256="x"), make_config()
        ),
    ):
        assert changed != found


def test_graphs_without_a_common_class_have_no_guides(
    peernet, stripes, tmp_path, monkeypatch
):
    kept = ("fgsm", "neighbor-guided")
    steps = [s for s in suites.SUITES["adaptive"] if s.name in kept]
    monkeypatch.setitem(suites.SUITES, "adaptive", tuple(steps))
    for num_peers, expected in ((1, ["fgsm"]), (12, list(kept))):
        record = evaluate(
            peernet,
            stripes,
            tmp_path / str(num_peers),
            graphs=GraphsConfig(num_peers=num_peers, num_graphs=2),
            epsilon=0.01,
            test_size=12,
        )
        assert [case.name for case in record.result.cases] == expected


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("policy", ["known", "drawn", "fresh"])
def test_threat_models(policy, peernet, stripes, tmp_path):
    graphs = GraphsConfig(policy=policy, num_graphs=2, attack_graphs=2)
    before = models.weights_sha256(peernet)
    record = evaluate(
        peernet, stripes, tmp_path, graphs=graphs, budget=0.005, test_size=12
    )
    assert models.weights_sha256(peernet) == before == record.weights_sha256
    chosen = evaluation.choose_graphs(
        peernet, stripes.train.images, graphs, seed=0
    )
    assert record.threat_model == chosen.record
    by_name = {case.name: case for case in record.result.cases}
    assert by_name["pgd-identity"].backward == "identity"
    # Other graphs than the attacker's may need a larger loss to be fooled.
    stops = "stop_when_fooled=True" in by_name["pgd"].attack
    assert stops == (policy == "known")
    # Success counts on the graphs that predictions use.
    logits = monte_carlo(peernet, chosen.defended)(stripes.test.images[:12])
    predictions = np.argmax(logits, axis=1)
    correct = np.sum(predictions == stripes.test.labels[:12])
    assert record.result.correct == correct
    verdicts = {c.name: c.verdict for c in record.result.checks}
    assert "exact gradient is as strong as BPDA" in verdicts


@pytest.mark.parametrize("policy", ["drawn", "fresh"])
def test_a_black_box_queries_the_defended_model(peernet, stripes, policy):
    """So what fools it counts, and it may stop there."""
    images = stripes.test.images[:12]
    graphs = evaluation.choose_graphs(
        peernet,
        stripes.train.images,
        GraphsConfig(policy=policy, num_peers=4, num_graphs=2, expectation=1),
        seed=0,
    )
    views = Views(peernet, images, graphs, None)
    steps = suites.steps_of("autoattack", views.traits)
    white, square = steps[0], next(s for s in steps if s.name == "square")
    defended = views.defended.logits(images)
    queried = views.attacker_of(square).logits(images)
    np.testing.assert_allclose(queried, defended, rtol=1e-5)
    assert views.may_stop(square)
    assert not views.is_random(square)
    # Attacks that follow a gradient see other graphs.
    assert not np.allclose(
        views.attacker_of(white).logits(images), defended, rtol=1e-3
    )
    assert not views.may_stop(white)
    assert views.is_random(white)
    # The predictions that count average over no calls.
    assert views.outputs.variation == 0


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_a_zero_gradient_is_found_behind_bpda(stripes, tmp_path):
    """The attention over one neighbour is 1, whatever the image is."""
    model = make_peernet(stripes, num_neighbors=1)
    record = evaluate(
        model,
        stripes,
        tmp_path,
        suite="autoattack",
        backward="identity",
        budget=0.01,
        test_size=12,
    )
    found = {check.name: check for check in record.result.checks}
    check = found["no gradient is exactly zero"]
    assert (check.verdict, check.measured) == (
        "failed",
        "it is at 12 of 12 images",
    )
    # Its gradient is not compared, and no attack repeats the first one.
    bpda = found["exact gradient is as strong as BPDA"]
    assert bpda.verdict == "not measured"
    assert "apgd-ce-identity" not in {c.name for c in record.result.cases}


def test_autoattack_follows_the_backward_pass_that_is_named(
    peernet, stripes, tmp_path, monkeypatch
):
    first = suites.SUITES["autoattack"][:1]
    monkeypatch.setitem(suites.SUITES, "autoattack", first)
    found = {
        backward: evaluate(
            peernet,
            stripes,
            tmp_path / backward,
            suite="autoattack",
            backward=backward,
            budget=0.1,
            epsilon=0.1,
        ).result.cases[0]
        for backward in ("exact", "identity")
    }
    for backward, case in found.items():
        assert case.backward == backward
    assert found["exact"].fooled != found["identity"].fooled


def test_attackers_who_draw_graphs_also_pull_to_peers(
    peernet, stripes, tmp_path, monkeypatch
):
    kept = ("pgd-identity-graphs", "neighbor-guided")
    steps = [s for s in suites.SUITES["adaptive"] if s.name in kept]
    steps = [dataclasses.replace(s, only_survivors=False) for s in steps]
    monkeypatch.setitem(suites.SUITES, "adaptive", tuple(steps))
    drawn = GraphsConfig(policy="drawn", num_peers=12, attack_graphs=4)
    settings = {"budget": 0.1, "epsilon": 0.3, "test_size": 12}
    record = evaluate(
        peernet, stripes, tmp_path / "drawn", graphs=drawn, **settings
    )
    cases = record.result.cases
    assert [case.name for case in cases] == list(kept)
    for case in cases:
        assert case.attacked == record.result.correct > 0
        assert case.queries > 0
    assert cases[0].fooled > 0
    # Of stored peers nobody knows the classes, and known graphs are not drawn.
    known = evaluate(peernet, stripes, tmp_path / "known", **settings)
    assert known.result.cases == ()


@pytest.mark.usefixtures("short")
def test_graphs_in_python(peernet, stripes):
    images, labels = stripes.test.images[:6], stripes.test.labels[:6]
    settings = {"suite": "adaptive", "budget": 0.005, "epsilon": 0.1}
    fresh = GraphsConfig(policy="fresh")
    with pytest.raises(UserError, match="`train_images` must be"):
        evaluation.robust_accuracy(
            peernet, images, labels, graphs=fresh, **settings
        )
    with pytest.raises(UserError, match="give both or neither"):
        evaluation.robust_accuracy(
            peernet, images, labels, train_labels=labels, **settings
        )
    found = evaluation.robust_accuracy(
        peernet,
        images,
        labels,
        graphs=fresh,
        train_images=stripes.train.images,
        **settings,
    )
    chosen = evaluation.choose_graphs(
        peernet, stripes.train.images, fresh, seed=0
    )
    logits = monte_carlo(peernet, chosen.defended)(images)
    np.testing.assert_array_equal(
        found.correct, np.argmax(logits, axis=1) == labels
    )


@pytest.fixture
def flags(linear, npz_path, tmp_path):
    path = tmp_path / "model.keras"
    linear.save(path)
    return [f"--checkpoint={path}", f"--dataset={npz_path}"]


def test_the_command(flags, tmp_path):
    folder = tmp_path / "run"
    result = run_command(
        MODULE,
        *flags,
        "--suite=adaptive",
        "--budget=0.01",
        "--norm=l2",
        "--epsilon=1",
        "--test_size=10",
        "--seed=2",
        flags[0].replace("--checkpoint", "--transfer_from"),
        f"--output_dir={folder}",
    )
    assert result.status == 0, result.stderr
    record = records.read(str(folder / "record.json"))
    assert record.result.budget == 0.01
    assert (record.result.norm, record.result.epsilon) == ("l2", 1)
    assert record.test_size == 10
    assert record.transfer_from == record.checkpoint
    assert "transfer" in [case.name for case in record.result.cases]
    assert record.provenance.seed == 2
    assert records.report([str(folder / "record.json")]) in result.stdout
    assert "| worst case" in result.stdout
    assert "more steps and restarts change little" in result.stdout


def test_the_folder_of_a_suite():
    drawn = GraphsConfig(policy="drawn", num_peers=5)
    for changes, name in (
        ({}, "a_adaptive"),
        ({"graphs": drawn}, "a_adaptive_drawn_5xM"),
    ):
        folder = evaluation.default_folder("a.keras", make_config(**changes))
        assert folder.replace("\\", "/") == f"runs/attacks/{name}"


def test_bad_flags_are_one_line(flags, tmp_path):
    suite = "--suite=adaptive"
    cases = [
        ([], "suite"),
        ([suite, "--attack=pgd"], "suite"),
        (["--suite=madry"], "suite"),
        ([suite, "--steps=3"], "does not read --steps"),
        ([suite, "--search"], "does not read --search"),
        ([suite, "--rho=0.1"], "does not read --rho"),
        ([suite, "--queries=9"], "does not read --queries"),
        ([suite, "--train_size=9"], "does not read --train_size"),
        ([suite, "--temperature=0.1"], "--temperature is for --attack"),
        ([suite, "--ablation=no_layers"], "--ablation is for --attack"),
        ([suite, "--num_neighbors=3"], "--num_neighbors is for --attack"),
        ([suite, "--epsilon=0.1,0.2"], "one --epsilon"),
        ([suite, "--epsilon=2"], "at most 1"),
        ([suite, "--budget=0"], "budget"),
        ([suite, "--backward=soft"], "leave `backward` out"),
        ([suite, "--peers=drawn"], "no PeerRegularization"),
        (["--attack=pgd", "--budget=0.1"], "--budget is for --suite"),
        (
            ["--suite=rand", "--transfer_from=cifar10_resnet32"],
            "transfer_from is for single attacks and the suite adaptive",
        ),
        ([suite, "--transfer_from=nowhere"], "mnist_pr_lenet5"),
        ([suite, "--transfer_from=cifar10_resnet32"], "images of shape"),
    ]
    folder = tmp_path / "run"
    check_errors(MODULE, cases, usual=[*flags, f"--output_dir={folder}"])
    assert not folder.exists()
