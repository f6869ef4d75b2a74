"""A progress bar of images under attack, which moves with every query."""

import contextlib
from collections.abc import Iterable, Iterator

from peernets_tf.attacks import Classifier
from peernets_tf.progress import Progress


class ImageBar:
    """A bar that moves with every query, within batches too.

    It counts images, and shows the queries of the batch under attack and the
    share of the images done whose class changed.
    """

    def __init__(self, name: str, total: int) -> None:
        print(name, flush=True)
        self._progress = Progress(total, "images")
        self._done = 0
        self._changed: int | None = None
        self._queries = 0

    def query(self, queries: int) -> None:
        """Notes that an attack computed the logits of some images."""
        self._queries += queries
        self._progress.update(
            self._done, **self._shares(), queries=self._queries
        )

    def resume(self, images: int, changed: int | None = None) -> None:
        """Moves on by images of an earlier run, which took no time now."""
        self._progress.skip(images)
        self.add(images, changed)

    def add(self, images: int, changed: int | None = None) -> None:
        """Moves on by some images, of which some changed if it is known."""
        self._done += images
        self._queries = 0
        if changed is not None:
            self._changed = (self._changed or 0) + changed
        self._progress.update(self._done, **self._shares())

    def close(self) -> None:
        """Ends the bar's line."""
        self._progress.close()

    def _shares(self) -> dict[str, float]:
        if self._changed is None or not self._done:
            return {}
        return {"changed": self._changed / self._done}


@contextlib.contextmanager
def image_bar(
    name: str, total: int, classifiers: Iterable[Classifier]
) -> Iterator[ImageBar]:
    """Gives a bar that follows the queries of classifiers.

    Args:
        name: str, printed above the bar.
        total: int, the images.
        classifiers: iterable of `Classifier`s.
    """
    bar = ImageBar(name, total)
    with contextlib.ExitStack() as stack:
        stack.callback(bar.close)
        for classifier in classifiers:
            stack.enter_context(classifier.observed(bar.query))
        yield bar
