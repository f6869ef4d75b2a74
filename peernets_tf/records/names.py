"""What tables, pictures and sentences call what was measured."""

import re

_PREFIXES = {"brelu_": "BReLU ", "magnet_": "MagNet + ", "pr_": "PR-"}
_DATASETS = {"mnist": "MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def network_name(model: str) -> str:
    """Returns the paper's name of a model: `pr_resnet32` is PR-ResNet-32."""
    match = re.fullmatch(
        r"((?:brelu_|magnet_|pr_)*)(resnet(\d+)|lenet5)(_v2)?", model
    )
    if match is None:
        return model
    prefixes = match[1]
    for code, name in _PREFIXES.items():
        prefixes = prefixes.replace(code, name)
    network = f"ResNet-{match[3]}" if match[3] else "LeNet-5"
    return f"{prefixes}{network}{' v2' if match[4] else ''}"


def checkpoint_name(model: str, dataset: str, checkpoint: str) -> str:
    """Returns a model's name, with what its preset's name adds to it.

    The preset `cifar10_resnet32_long` is ResNet-32 (long). A file is called
    like its model.

    Args:
        model: str, such as `resnet32`.
        dataset: str, such as `cifar10`.
        checkpoint: str, a file or the name of a preset.
    """
    name = network_name(model)
    prefix = f"{dataset}_{model}_"
    if checkpoint.startswith(prefix) and not checkpoint.endswith(".keras"):
        name += f" ({checkpoint.removeprefix(prefix).replace('_', ' ')})"
    return name


def dataset_name(dataset: str) -> str:
    """Returns the usual spelling of a data set's name."""
    return _DATASETS.get(dataset, dataset)


def radius_text(epsilon: float, norm: str = "linf") -> str:
    """Returns a radius as people write it, such as `8/255` or `0.3`.

    Args:
        epsilon: float, the radius for images in [0, 1].
        norm: `"linf"` or `"l2"`. In L-infinity, what has more than two decimals
            is written on the 0-255 pixel scale.
    """
    if norm == "l2" or epsilon == round(epsilon, 2):
        return f"{epsilon:.3g}"
    return f"{255 * epsilon:.3g}/255"


def ball_text(norm: str, epsilon: float) -> str:
    """Returns a ball as a cell of a table: `L-inf 8/255` or `L2 0.5`.

    Args:
        norm: `"linf"` or `"l2"`.
        epsilon: float, the radius for images in [0, 1].
    """
    return f"{norm_name(norm)} {radius_text(epsilon, norm)}"


def norm_name(norm: str) -> str:
    """Returns how tables write `"linf"` and `"l2"`: `L-inf` and `L2`."""
    return "L-inf" if norm == "linf" else "L2"


def graphs_text(num_graphs: int, num_peers: int) -> str:
    """Returns a number of graphs as people write it: `10 graphs of 50 peers`.

    Args:
        num_graphs: int, M.
        num_peers: int, N, the images of one graph.
    """
    return f"{_count(num_graphs, 'graph')} of {_count(num_peers, 'peer')}"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
