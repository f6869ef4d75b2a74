"""The tables of the paper's text, in the form of `peernets_tf.records.paper`.

The text is the environment variable PEERNETS_PAPER, or the file in
shared/paper next to the checkout.
"""

import os
import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_MODELS = {
    "LeNet-5": "lenet5",
    "PR-LeNet-5": "pr_lenet5",
    "ResNet-32": "resnet32",
    "ResNet-32 v2": "resnet32_v2",
    "BRELU + GDA": "brelu_resnet32",
    "MagNet": "magnet_resnet32",
    "PR-ResNet-32": "pr_resnet32",
    "PR-ResNet-32 v2": "pr_resnet32_v2",
    "ResNet-110": "resnet110",
    "PR-ResNet-110": "pr_resnet110",
    "PR-ResNet-110 v2": "pr_resnet110_v2",
}
# The graphs of the accuracies that `paper.ACCURACY` holds, by data set.
_GRAPHS = {"cifar10": (50, 10), "cifar100": (500, 5)}


def text():
    """Returns the paper's text; skips the test where there is none."""
    named = os.environ.get("PEERNETS_PAPER")
    found = sorted((_ROOT.parent / "shared" / "paper").glob("*.txt"))
    path = pathlib.Path(named) if named else next(iter(found), None)
    if path is None or not path.is_file():
        pytest.skip(
            "no text of the paper: set PEERNETS_PAPER to a file, or put one "
            f"in {_ROOT.parent / 'shared' / 'paper'}"
        )
    return path.read_text(encoding="utf-8")


def tables(text):
    """Returns `paper`'s dicts by their names, made from the paper's text."""
    accuracy, universal = _table_3(text)
    for dataset, before, after in (
        ("cifar10", "Table 4: ", "Table 5: "),
        ("cifar100", "Table 5: ", "ADVERSARIAL TRAINING"),
    ):
        part = text.split(before)[1].split(after)[0]
        more_accuracy, more_universal = _table_of_graphs(part, dataset)
        accuracy.update(more_accuracy)
        universal.update(more_universal)
    return {
        "ACCURACY": accuracy,
        "SAMPLE_SPECIFIC": _table_2(text),
        "UNIVERSAL": universal,
        "ADVERSARIAL_TRAINING": _table_6(text),
        "QUERIES": _table_7(text),
    }


def _table_2(text):
    # Numbers of two rows stand in one cell, FGSM's before PGD's.
    (descent,) = _rows(text, "Grad.Desc.")
    (others,) = _rows(text, "FGSM PGD")
    found = {}
    for model, first in (("resnet32", 0), ("pr_resnet32", 3)):
        rate, l2, linf = map(_numbers, descent[first : first + 3])
        found[model, "gradient_descent"] = (_rate(rate[0]), l2[0], linf[0])
        rates, l2, linf = map(_numbers, others[first : first + 3])
        # The text lacks one of ResNet-32's; see `paper.SAMPLE_SPECIFIC`.
        l2 = [None, *l2][-2:]
        for i, attack in enumerate(("fgsm", "pgd")):
            found[model, attack] = (_rate(rates[i]), l2[i], linf[i])
    return found


def _table_3(text):
    # Both rows stand in one line: each cell has LeNet-5's figures first.
    (cells,) = _rows(text, "LeNet-5 PR-LeNet-5")
    original, *attacked = map(_numbers, cells)
    accuracy, universal = {}, {}
    for i, (model, size) in enumerate((("lenet5", 0), ("pr_lenet5", None))):
        accuracy["mnist", model] = _rate(original[i])
        universal["mnist", model, size, size] = {
            rho: (_rate(cell[2 * i]), _rate(cell[2 * i + 1]))
            for rho, cell in zip(
                (0.2, 0.4, 0.6, 0.8, 1.0), attacked, strict=True
            )
        }
    return accuracy, universal


def _table_of_graphs(text, dataset):
    rhos = {"cifar10": (0.04, 0.08, 0.1), "cifar100": (0.02, 0.04, 0.06)}
    accuracy, universal = {}, {}
    for name, model in _MODELS.items():
        for size, runs, original, *attacked in _rows(text, name):
            graphs = (0, 0) if size == "N/A" else (int(size), int(runs))
            if graphs in ((0, 0), _GRAPHS[dataset]):
                accuracy[dataset, model] = _rate(*_numbers(original))
            universal[dataset, model, *graphs] = {
                rho: tuple(map(_rate, _numbers(cell)))
                for rho, cell in zip(rhos[dataset], attacked, strict=True)
            }
    return accuracy, universal


def _table_6(text):
    part = text.split("Table 6: ")[1].split("BLACK-BOX")[0]
    # The first two rows stand in one line.
    (both,) = _rows(part, "ResNet-32 A ResNet-32 B")
    (peernet,) = _rows(part, "PR-ResNet")
    clean, attacked = map(_numbers, both)
    return {
        "resnet32_a": (_rate(clean[0]), _rate(attacked[0])),
        "resnet32_b": (_rate(clean[1]), _rate(attacked[1])),
        "pr_resnet32": tuple(_rate(*_numbers(cell)) for cell in peernet),
    }


def _table_7(text):
    part = text.split("Table 7:")[1].split("The results above")[0]
    models = {"ResNet-32": "resnet32", "PR-ResNet": "pr_resnet32"}
    return {
        (model, kind.split()[0], float(epsilon)): tuple(
            _rate(*_numbers(cell)) for cell in rates
        )
        for name, model in models.items()
        for kind, epsilon, *rates in _rows(part, name)
    }


def _rows(text, name):
    """Returns the cells after the first of each table row with that name."""
    lines = [line.rstrip("\t").split("\t") for line in text.splitlines()]
    return [cells[1:] for cells in lines if cells[0] == name and cells[1:]]


def _numbers(cell):
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]


def _rate(percent):
    # The float that is closest to the decimal number.
    return round(percent / 100, 6)
