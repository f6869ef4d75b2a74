"""All pictures that are made from records alone."""

from collections.abc import Sequence

from peernets_tf.pictures.figure_5 import figure_5
from peernets_tf.pictures.figure_7 import figure_7
from peernets_tf.pictures.loss_against_steps import loss_against_steps
from peernets_tf.pictures.smallest_norms import smallest_norms
from peernets_tf.pictures.speed import speed_pictures
from peernets_tf.pictures.style import Picture
from peernets_tf.pictures.training_curves import training_curves
from peernets_tf.pictures.truth import truth_pictures
from peernets_tf.records import (
    AttackRecord,
    BenchmarkRecord,
    Record,
    TrainingRecord,
    of_kind,
)


def charts(records: Sequence[Record]) -> list[Picture]:
    """Returns the pictures that records allow, the truth about PeerNets first.

    A picture without data is left out.

    Args:
        records: sequence of records of any kind.
    """
    # A network whose layers compute something else is another network.
    attacks = [r for r in of_kind(AttackRecord, records) if r.is_direct]
    return [
        *truth_pictures(attacks),
        *figure_5(attacks),
        *smallest_norms(attacks),
        *figure_7(attacks),
        *loss_against_steps(attacks),
        *training_curves(of_kind(TrainingRecord, records)),
        *speed_pictures(of_kind(BenchmarkRecord, records)),
    ]
