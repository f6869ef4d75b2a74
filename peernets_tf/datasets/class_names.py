"""The names of classes, for people."""

_CIFAR10 = (
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
)
_DIGITS = ("mnist", "mnist5k")


def class_name(dataset: str, label: int) -> str:
    """Returns the name of a class, such as `"ship"`, `"7"` or `"class 7"`.

    Args:
        dataset: str, the name of the data set.
        label: int, the class.
    """
    if dataset == "cifar10" and label < len(_CIFAR10):
        return _CIFAR10[label]
    return str(label) if dataset in _DIGITS else f"class {label}"
