"""Classes by name where they have one."""

from peernets_tf.pictures.class_names import class_name


def test_class_names():
    assert class_name("cifar10", 3) == "cat"
    assert class_name("mnist", 3) == "3"
    assert class_name("cifar10", 10) == "10"
