"""One image's story in words, for a terminal."""

from collections.abc import Sequence

import numpy as np

from peernets_tf import datasets
from peernets_tf.evaluation.image_story import ImageStory, ImageView
from peernets_tf.records import radius_text

_COLUMNS = ("predicted", "second", "third")
_NUM_PEERS = 6
_BACKWARD_NAMES = {
    None: "clean",
    "exact": "exact gradient",
    "identity": "identity backward",
    "soft": "soft backward",
}


def backward_name(backward: str | None) -> str:
    """Returns what people call the backward pass of a view."""
    return _BACKWARD_NAMES[backward]


def story_text(story: ImageStory, dataset: str, image_name: str) -> str:
    """Returns the predictions and the peers of a story of one image.

    Args:
        story: the `ImageStory` of one image.
        dataset: str, the name of the data set, which names the classes.
        image_name: str, what the text calls the image.
    """
    rows = [
        (_title(story, view), *_classes(view, dataset)) for view in story.views
    ]
    # Some models have fewer classes than columns.
    header = ("", *_COLUMNS)[: len(rows[0])]
    lines = [
        f"{story.model} on {image_name}",
        *_aligned([header, *rows]),
        "PGD changes each pixel by at most "
        f"{radius_text(story.attack.epsilon)}, away from the clean "
        "prediction.",
    ]
    if story.graph is not None:
        lines += ["", *_peers(story, dataset)]
    return "\n".join(lines)


def _title(story: ImageStory, view: ImageView) -> str:
    if view.backward is None:
        return backward_name(None)
    return f"PGD-{story.attack.steps}, {backward_name(view.backward)}"


def _classes(view: ImageView, dataset: str) -> list[str]:
    """Returns the most probable classes with their probabilities."""
    probabilities = view.probabilities[0]
    largest = np.argsort(-probabilities, kind="stable")[: len(_COLUMNS)]
    return [
        f"{datasets.class_name(dataset, int(label))} {probabilities[label]:.1%}"
        for label in largest
    ]


def _peers(story: ImageStory, dataset: str) -> list[str]:
    """Returns lines of the peers with the largest shares of attention."""
    graph = story.graph
    clean = story.views[0].explanation
    assert graph is not None and clean is not None
    shares = [
        view.explanation.shares[0] for view in story.views if view.explanation
    ]
    origin = "stored in the model" if graph.is_stored else "drawn with --seed"
    layers = [layer.name for layer in clean.layers]
    mean = f" (mean over {', '.join(layers)})" if len(layers) > 1 else ""
    rows = [("", *(backward_name(view.backward) for view in story.views))]
    for peer in np.argsort(-shares[0], kind="stable")[:_NUM_PEERS]:
        label = datasets.class_name(dataset, int(graph.labels[peer]))
        name = f"training image {graph.indices[peer]}, {label}"
        rows.append((name, *(f"{share[peer]:.1%}" for share in shares)))
    return [
        f"Share of attention of each peer image{mean},",
        f"of {len(graph.images)} peers {origin}; an even share is "
        f"{1 / len(graph.images):.1%}:",
        *_aligned(rows),
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "   ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
