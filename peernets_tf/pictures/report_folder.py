"""The folder of a report: its page, and its pictures as files."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

from peernets_tf import files
from peernets_tf.pictures.charts import charts
from peernets_tf.pictures.model_pictures import model_pictures
from peernets_tf.pictures.page import embed, page
from peernets_tf.pictures.style import Picture
from peernets_tf.records import read_sources


def write_report(
    paths: Sequence[str],
    output_dir: str,
    *,
    data_dir: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> str:
    """Writes index.html and the folder of pictures; returns the page's path.

    Args:
        paths: sequence of str, the records' files.
        output_dir: str, the folder; it is made if it is missing.
        data_dir: str or None, the folder of TensorFlow Datasets.
        seed: int, the seed of what pictures of models draw.
        say: function that shows a line about the progress.

    Raises:
        UserError: if a file is not a record.
    """
    sources = read_sources(paths)
    folder = os.path.join(output_dir, "pictures")
    os.makedirs(folder, exist_ok=True)
    found, missing = model_pictures(
        sources, data_dir=data_dir, seed=seed, say=say
    )
    pictures = [*charts([source.record for source in sources]), *found]
    embedded = [embed(picture, folder) for picture in _renamed(pictures)]
    path = os.path.join(output_dir, "index.html")
    files.write_text(page(sources, embedded, missing), path)
    return path


def _renamed(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Yields pictures with names of their own: `speed_attacks_2`."""
    taken: set[str] = set()
    for picture in pictures:
        name, number = picture.name, 1
        while name in taken:
            number += 1
            name = f"{picture.name}_{number}"
        taken.add(name)
        yield dataclasses.replace(picture, name=name)
