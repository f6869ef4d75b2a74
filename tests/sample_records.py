"""Small records of each kind for tests."""

from peernets_tf import records

GRAPHS = records.Graphs(num_peers=50, num_graphs=10, seed=(3, 0))
THREAT_MODEL = records.ThreatModel(
    policy="known", defended=GRAPHS, attacker=GRAPHS
)


def make_provenance(**changes):
    fields = {
        "command": "python -m peernets_tf.train",
        "flags": {"epochs": 5, "rho": ["0.08"], "data_dir": None},
        "seed": 0,
        "commit": "abc",
        "versions": {"numpy": "2.4.6"},
        "device": "cpu",
        "seconds": 1.5,
    }
    return records.Provenance(**{**fields, **changes})


def make_training(**changes):
    fields = {
        "model": "pr_lenet5",
        "weights_sha256": "0",
        "dataset": "mnist",
        "train_size": 60000,
        "test_size": 200,
        "correct": 197,
        "graphs": GRAPHS,
        "history": ({"epoch": 1, "loss": 0.5, "val_accuracy": 0.75},),
        "initial_model": records.InitialModel(
            path="runs/start/model.keras",
            model="lenet5",
            epochs=8,
            weights_sha256="1",
        ),
        "provenance": make_provenance(),
    }
    return records.TrainingRecord(**{**fields, **changes})


def make_case(**changes):
    fields = {
        "attack": "FixedPerturbation(source='UniversalDeepFool()')",
        "norm": "l2",
        "epsilon": 2.3,
        "rho": 0.08,
        "total": 200,
        "correct": 160,
        "adversarial_correct": 100,
        "changed": 90,
        "fooled": 64,
        "zero_gradients": 0,
        "mean_l2": 30.06,
        "mean_linf": 0.62,
    }
    return records.AttackCase(**{**fields, **changes})


def make_attack(**changes):
    fields = {
        "model": "pr_resnet32",
        "checkpoint": "cifar10_pr_resnet32",
        "weights_sha256": "0",
        "dataset": "cifar10",
        "test_size": 200,
        "attack": "universal.deepfool",
        "is_universal": True,
        "follows_gradient": True,
        "backward": "identity",
        "threat_model": THREAT_MODEL,
        "cases": (make_case(),),
        "provenance": make_provenance(),
    }
    return records.AttackRecord(**{**fields, **changes})


def make_suite_case(**changes):
    fields = {
        "name": "pgd",
        "attack": "PGD(epsilon=0.03, steps=40)",
        "access": "white-box",
        "backward": "exact",
        "epsilon": 8 / 255,
        "is_counted": True,
        "attacked": 180,
        "fooled": 120,
        "robust": 60,
        "queries": 7380,
    }
    return records.SuiteCase(**{**fields, **changes})


def make_suite_result(**changes):
    fields = {
        "suite": "adaptive",
        "norm": "linf",
        "epsilon": 8 / 255,
        "budget": 1.0,
        "total": 200,
        "correct": 180,
        "robust": 40,
        "cases": (
            make_suite_case(),
            make_suite_case(
                name="square",
                access="black-box",
                attacked=60,
                fooled=20,
                robust=40,
                queries=150_000,
            ),
            make_suite_case(
                name="large-ball",
                is_counted=False,
                epsilon=1.0,
                attacked=100,
                fooled=100,
                robust=40,
            ),
        ),
        "checks": (
            records.Check(
                name="outputs are logits",
                verdict="passed",
                measured="the outputs are not probabilities",
            ),
            records.Check(
                name="white-box beats black-box and transfer",
                verdict="failed",
                measured="20 of 60 images are fooled by the latter only",
            ),
        ),
    }
    return records.SuiteResult(**{**fields, **changes})


def make_suite(**changes):
    fields = {
        "model": "pr_resnet32",
        "checkpoint": "cifar10_pr_resnet32",
        "weights_sha256": "0",
        "dataset": "cifar10",
        "test_size": 200,
        "threat_model": THREAT_MODEL,
        "result": make_suite_result(),
        "provenance": make_provenance(),
    }
    return records.SuiteRecord(**{**fields, **changes})


def make_comparison_case(**changes):
    fields = {
        "backward": "exact",
        "case": make_case(
            attack=records.paper.CHALLENGE_ATTACK,
            norm="linf",
            epsilon=8 / 255,
            rho=None,
        ),
        "provenance": make_provenance(),
    }
    return records.ComparisonCase(**{**fields, **changes})


def make_comparison_row(**changes):
    fields = {
        "key": "pr_resnet32",
        "name": "PR-ResNet-32",
        "network": "pr_resnet32",
        "trained_on": "images",
        "checkpoint": "runs/table6/pr_resnet32/model.keras",
        "steps": (1170, 781),
        "training": records.ComparisonTraining(
            settings={"num_steps": 0},
            options={"attack_mode": "train"},
            history=({"epoch": 1, "loss": 0.5},),
            provenance=make_provenance(),
        ),
        "weights_sha256": "0",
        "threat_model": THREAT_MODEL,
        "cases": (
            make_comparison_case(),
            make_comparison_case(backward="identity"),
        ),
    }
    return records.ComparisonRow(**{**fields, **changes})


def make_comparison(**changes):
    fields = {
        "rows": (make_comparison_row(),),
        "budget": "hour",
        "dataset": "cifar10",
        "test_size": 200,
        "provenance": make_provenance(),
    }
    return records.ComparisonRecord(**{**fields, **changes})


def make_benchmark(**changes):
    fields = {
        "name": "attacks",
        "cases": (
            {
                "attack": "PGD-40",
                "images": 100,
                "image_shape": [32, 32, 3],
                "memory_mib": {"search": 9.125},
                "seconds": {"ours": [7.0, 7.2], "art": [20.0, 21.0]},
                "median_seconds": {"ours": 7.1, "art": 20.5},
                "fooling_rate": {"ours": 1.0},
            },
        ),
        "rounds": 2,
        "warm_up_rounds": 1,
        "load_average": 0.1,
        "provenance": make_provenance(seconds=None),
    }
    return records.BenchmarkRecord(**{**fields, **changes})


def make_trials(**changes):
    fields = {
        "groups": (
            records.TrialGroup(name="kills", tried=3, passed=3),
            records.TrialGroup(name="files", tried=5, passed=4, allowed=1),
        ),
        "failures": (
            records.TrialFailure(
                group="files",
                name="record.json: empty",
                command="python -m peernets_tf.report record.json",
                seen=("exit status 7",),
            ),
        ),
        "workers": 2,
        "method": "In forks.",
        "provenance": make_provenance(),
    }
    return records.TrialsRecord(**{**fields, **changes})


def one_of_each_kind():
    return [
        make_training(),
        make_training(graphs=None, initial_model=None),
        make_attack(),
        make_attack(threat_model=None),
        make_suite(),
        make_suite(threat_model=None),
        make_comparison(),
        make_benchmark(),
        make_trials(),
    ]
