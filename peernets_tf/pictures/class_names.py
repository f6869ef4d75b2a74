"""The names of the classes of the data sets that have some."""

_CLASSES = {
    "cifar10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
}


def class_name(dataset: str, label: int) -> str:
    """Returns the name of a class, or its number where it has no name.

    Args:
        dataset: str, the name of a data set.
        label: int, a class of that data set.
    """
    names = _CLASSES.get(dataset, ())
    return names[label] if label < len(names) else str(label)
