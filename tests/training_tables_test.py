"""The tables of trainings and their curves."""

import dataclasses

from sample_records import make_training

from peernets_tf.records.training_tables import (
    accuracy_curves,
    training_row,
    training_table,
)


def test_trainings():
    peernet = make_training(correct=183, initial_model=None)
    network = make_training(model="lenet5", correct=190, graphs=None)
    assert training_table([peernet, network]).rows == (
        ("pr_lenet5", "mnist", "1", "50 x 10", "200", "91.50% ±4.69", "98.20%"),
        ("lenet5", "mnist", "8 + 1", "-", "200", "95.00% ±3.96", "98.60%"),
    )
    other = make_training(dataset="mnist5k")
    assert training_row(other)[-1] == "-"


def history(*accuracies):
    return tuple(
        {"epoch": i, "val_accuracy": accuracy}
        for i, accuracy in enumerate(accuracies, start=1)
    )


def test_curves_have_a_column_for_each_training():
    trainings = [
        make_training(model="a", history=history(0.5, 0.75)),
        make_training(model="b", history=history(0.25)),
    ]
    trainings = [dataclasses.replace(t, initial_model=None) for t in trainings]
    (table,) = accuracy_curves(trainings)
    assert table.title == "MNIST, validation accuracy"
    assert table.columns == ("epoch", "a", "b")
    assert table.rows == (("1", "50.0%", "25.0%"), ("2", "75.0%", ""))


def test_each_data_set_has_curves_of_its_own():
    trainings = [
        make_training(dataset=dataset, history=history(0.5))
        for dataset in ("mnist", "cifar10", "mnist")
    ]
    first, second = accuracy_curves(trainings)
    assert (len(first.columns), len(second.columns)) == (3, 2)
    assert second.title == "CIFAR-10, validation accuracy"


def test_curves_count_the_epochs_of_the_initial_model():
    first = make_training(history=history(0.5), initial_model=None)
    second = make_training(history=history(0.75))
    assert second.initial_model.epochs == 8
    (table,) = accuracy_curves([first, second])
    assert table.rows == (("1", "50.0%", ""), ("9", "", "75.0%"))


def test_curves_leave_out_epochs_without_a_validation():
    record = make_training(
        history=({"epoch": 1, "loss": 0.5},), initial_model=None
    )
    assert accuracy_curves([record])[0].rows == ()


def test_curves_leave_defences_out():
    plain = make_training()
    defended = make_training(
        model="magnet_resnet32", history=(), defense="MagNet(epochs=5)"
    )
    assert accuracy_curves([plain, defended]) == accuracy_curves([plain])
    assert defended.epochs.endswith(" + MagNet")
