"""Every figure of `records.paper` stands in the paper's text, and vice versa.

The tests are skipped where the text is absent.
"""

import copy

import published
import pytest

from peernets_tf.attacks import PGD
from peernets_tf.records import paper

NAMES = (
    "ACCURACY",
    "SAMPLE_SPECIFIC",
    "UNIVERSAL",
    "ADVERSARIAL_TRAINING",
    "QUERIES",
)


@pytest.fixture(scope="module")
def tables():
    return published.tables(published.text())


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_the_papers(name, tables):
    assert getattr(paper, name) == tables[name]


@pytest.mark.parametrize("name", NAMES)
def test_any_false_figure_would_be_seen(name, tables):
    """Each figure in turn gets a wrong last digit."""
    ours = getattr(paper, name)
    keys = [key for key, value in figures(ours) if value is not None]
    assert len(keys) > 5
    for key in keys:
        assert planted(ours, key) != tables[name]


def figures(value, key=()):
    """Yields the path and the value of each figure."""
    if isinstance(value, dict | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from figures(item, (*key, name))
    else:
        yield key, value


def planted(value, key):
    """Returns a copy in which one figure has a wrong last digit."""
    if not key:
        return round(value + 0.0001, 6)
    copied = list(value) if isinstance(value, tuple) else copy.copy(value)
    copied[key[0]] = planted(value[key[0]], key[1:])
    return type(value)(copied)


def test_the_challenges_attack_is_named_as_records_name_it():
    attack = PGD(epsilon=8 / 255, steps=10, step_size=2 / 255, keep_best=False)
    assert repr(attack) == paper.CHALLENGE_ATTACK


def test_rates_are_consistent():
    assert all(0.6 < value < 1 for value in paper.ACCURACY.values())
    for row in paper.UNIVERSAL.values():
        accuracies, rates = zip(*(row[rho] for rho in sorted(row)), strict=True)
        assert all(0 < value < 1 for value in accuracies + rates)
        # A stronger perturbation fools more, except LeNet-5 at rho = 1.
        assert list(rates[:4]) == sorted(rates[:4])
        # An image that was classified correctly and no longer is was fooled.
        assert all(a + r < 1.12 for a, r in zip(accuracies, rates, strict=True))
    for rate, l2, linf in paper.SAMPLE_SPECIFIC.values():
        assert 0 < rate <= 1
        assert l2 is None or linf < l2 <= linf * 3072**0.5
