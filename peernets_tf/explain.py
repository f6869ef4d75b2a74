"""Explains the prediction for one image: `python -m peernets_tf.explain`.

    python -m peernets_tf.explain --checkpoint=mnist_pr_lenet5 --image=7
    python -m peernets_tf.explain --checkpoint=mnist_lenet5 --image=three.png

Prints the most probable classes and the peers that get most of a PeerNet's
attention: for the clean image, under PGD along the exact gradient and, for a
PeerNet, under PGD with the identity backward pass. Draws them together with the
images that the attention rebuilds from the peers.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from absl import flags
from numpy.typing import NDArray

from peernets_tf import datasets, evaluation, files, models, records
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError
from peernets_tf.lazy import module

if TYPE_CHECKING:
    from peernets_tf import peers, pictures
else:
    peers = module("peernets_tf.peers")
    pictures = module("peernets_tf.pictures")

_SUFFIX = ".png"
_MAX_DIGITS = 9

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Model to explain: a .keras file or the name of a published model: "
    f"{', '.join(models.preset_names())} (required).",
    required=True,
)
_IMAGE = flags.DEFINE_string(
    "image",
    None,
    "Image to explain: the index of a test image, 0 or larger, or a PNG or "
    "JPEG file, which is cropped to its centre and resized to the model's "
    "input. The models of MNIST expect white digits on black (required).",
    required=True,
)
_DATASET = shared_flags.define_dataset(
    None, "the one that the checkpoint's record names"
)
_DATA_DIR = shared_flags.define_data_dir()
_SEED = shared_flags.define_seed()
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers",
    None,
    "N, the number of training images that are drawn as peers with --seed "
    "(default: as many as the checkpoint stores; with the seed of the model's "
    "training these are the stored peers).",
    1,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    "explanation.png",
    "PNG file of the picture (default: explanation.png).",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The image to explain, and the model.

    Attributes:
        checkpoint: str, a .keras file or the name of a preset.
        image: int or str, the index of a test image, or a file.
        dataset: str or None, a data set's name; None for the one that the
            checkpoint's record names.
        data_dir: str or None, the folder of TensorFlow Datasets.
        seed: int, the seed of the peers and of the attacks.
        num_peers: int or None, the peers of the graph; None for as many as the
            model stores.
        output: str, the PNG file to write.
    """

    checkpoint: str
    image: int | str
    dataset: str | None
    data_dir: str | None
    seed: int
    num_peers: int | None
    output: str


def _parse(arguments: list[str]) -> Config:
    app.refuse_arguments(arguments)
    shared_flags.check_model(_CHECKPOINT.value, "--checkpoint")
    image = _IMAGE.value
    if not image:
        raise UserError(
            "--image must be the index of a test image or a file. Received: "
            "nothing"
        )
    is_index = image.isascii() and image.isdecimal()
    if is_index and len(image) > _MAX_DIGITS:
        raise UserError(
            f"--image must be an index of at most {_MAX_DIGITS} digits, or a "
            f"file. Received: {image[:20]}..."
        )
    if not _OUTPUT.value.endswith(_SUFFIX):
        raise UserError(
            f"--output must end in {_SUFFIX}. Received: {_OUTPUT.value!r}"
        )
    files.check_parent_exists(_OUTPUT.value)
    if _DATASET.value:
        datasets.check_name(_DATASET.value)
    return Config(
        checkpoint=_CHECKPOINT.value,
        image=int(image) if is_index else image,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        seed=_SEED.value,
        num_peers=_NUM_PEERS.value,
        output=_OUTPUT.value,
    )


def _run(config: Config, provenance: records.Provenance) -> None:
    del provenance  # An explanation writes no record.
    path = models.preset_path(config.checkpoint)
    model = models.load(path)
    shape = evaluation.image_shape(model)
    has_peers = bool(peers.peer_layers(model))
    if config.num_peers is not None and not has_peers:
        raise UserError(
            f"--num_peers is for PeerNets, and {model.name} has no "
            "PeerRegularization layer: leave it out"
        )
    # Before a data set is read or downloaded.
    file = _read_file(config.image, shape)
    dataset = None
    if has_peers or file is None:
        name = config.dataset or evaluation.trained_on(path)
        dataset = datasets.load(name, config.data_dir)
        evaluation.check_fits(model, dataset)
    else:
        evaluation.check_range(model)
    subject = _subject(config.image, file, dataset)
    graph = None
    if has_peers and dataset is not None:
        graph = evaluation.draw_graph(
            model, dataset, seed=config.seed, num_peers=config.num_peers
        )
    story = evaluation.tell_story(
        model, subject.image[None], graph, seed=config.seed
    )
    name = dataset.name if dataset else _dataset_name(config, path)
    print(evaluation.story_text(story, name, subject.name), flush=True)
    picture = pictures.story_picture(story, name, subject.name)
    with files.atomic_file(config.output) as temporary:
        pathlib.Path(temporary).write_bytes(
            pictures.render(picture, pictures.LIGHT, "png")
        )
    print(f"Picture: {config.output}")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Subject:
    """The image `(H, W, C)` to explain, and what people call it."""

    image: NDArray[np.float32]
    name: str


def _read_file(
    image: int | str, shape: tuple[int, int, int]
) -> datasets.ImageFile | None:
    """Reads the user's file, and says if it was resized."""
    if isinstance(image, int):
        return None
    file = datasets.read_image(image, shape)
    if file.is_resized:
        print(
            f"{image} has {file.original_size[0]} x {file.original_size[1]} "
            "pixels: cut at its centre and resized to "
            f"{shape[1]} x {shape[0]}",
            flush=True,
        )
    return file


def _subject(
    image: int | str,
    file: datasets.ImageFile | None,
    dataset: datasets.Dataset | None,
) -> _Subject:
    if file is not None:
        return _Subject(image=file.image, name=os.path.basename(str(image)))
    assert dataset is not None and isinstance(image, int)
    if image >= len(dataset.test):
        raise UserError(
            "--image must be a file, or an index below "
            f"{len(dataset.test)}, the test images of {dataset.name}. "
            f"Received: {image}"
        )
    label = datasets.class_name(dataset.name, int(dataset.test.labels[image]))
    return _Subject(
        image=dataset.test.images[image],
        name=f"test image {image} of "
        f"{records.dataset_name(dataset.name)} ({label})",
    )


def _dataset_name(config: Config, path: str) -> str:
    """Returns the data set that names the classes, "" if it is unknown."""
    if config.dataset:
        return config.dataset
    record = records.of_model(path)
    return record.dataset if record else ""


COMMAND = app.Command(module="peernets_tf.explain", parse=_parse, run=_run)


def main() -> None:
    """Runs the command."""
    app.main(COMMAND)


if __name__ == "__main__":
    main()
