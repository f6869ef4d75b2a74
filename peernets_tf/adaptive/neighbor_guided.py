"""The neighbour-guided attack: pull pixels towards peers of another class."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import Attack, Classifier, checks, losses
from peernets_tf.attacks.best_images import BestImages
from peernets_tf.errors import AttackError

if TYPE_CHECKING:
    from peernets_tf.adaptive.guides import Guides


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeighborGuided(Attack):
    """Moves an image's features towards those of peers of another class.

    At each PeerRegularization layer, each pixel becomes more similar to the
    most similar pixels among the peers of one class, its guides, so that the
    layer finds neighbours of that class. Guides are chosen again every
    few steps. The class is the likeliest wrong one. With several graphs, each
    choice of guides goes on to the next graph.

    Source: Sitawarin and Wagner (2020), *Minimum-Norm Adversarial Examples on
    KNN and KNN-Based Models*, which moves the features of a whole image towards
    those of other images. We carry it to pixels, with projected gradient ascent
    on the mean cosine, the similarity by which the layer searches.

    Attributes:
        guides: the `Guides`: the network, its graphs and the peers' classes.
            None until an evaluation has drawn them.
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        steps: int, the number of gradient steps.
        step_size: float or None, the length of a step; None for
            2.5 epsilon / steps.
        guides_per_pixel: int, the guides of each pixel.
        steps_per_choice: int, the steps after which guides are chosen again.
            What they reach is compared with the best so far.
        restarts: int, the number of classes that are tried, the likeliest
            wrong one first; the best of all is kept.
    """

    name: ClassVar[str] = "neighbor_guided"
    internal: ClassVar[frozenset[str]] = frozenset({"guides"})
    loss: ClassVar[None] = None
    targeted: ClassVar[bool] = False

    guides: Guides | None = dataclasses.field(default=None, repr=False)
    epsilon: float = 8 / 255
    norm: str = "linf"
    steps: int = 100
    step_size: float | None = None
    guides_per_pixel: int = 10
    steps_per_choice: int = 10
    restarts: int = 1

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        guides = self.guides
        if guides is None:
            raise AttackError(
                "neighbor_guided needs `guides`, the peers to pull towards. "
                "Received: None"
            )
        guides.check_count(self.guides_per_pixel)
        guided = guides.classifier
        logits = classifier.logits(images)
        best = BestImages(images)
        counted: contextlib.AbstractContextManager[None]
        counted = guided.observed(classifier.count)
        if guided is classifier:
            counted = contextlib.nullcontext()
        with guided.seeded(seed), counted:
            for classes in _wrong_classes(
                logits, labels, guides.classes, self.restarts
            ):
                self._pull(classifier, guides, images, labels, classes, best)
        return best.images

    def _pull(
        self,
        classifier: Classifier,
        guides: Guides,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        classes: NDArray[np.int32],
        best: BestImages,
    ) -> None:
        """Pulls all images towards one class each, and keeps the best."""
        radius = np.full(len(images), self.epsilon, np.float32)
        step_size = self.step_size
        if step_size is None:
            step_size = 2.5 * self.epsilon / self.steps
        iterates = images
        for number, done in enumerate(
            range(0, self.steps, self.steps_per_choice)
        ):
            graph = np.int32(number % guides.bank.num_graphs)
            chosen = guides.classifier.call(
                guides.choose,
                iterates,
                classes,
                graph,
                count=self.guides_per_pixel,
            )
            steps = min(self.steps_per_choice, self.steps - done)
            iterates, is_finite = guides.classifier.call(
                guides.climb,
                iterates,
                images,
                radius,
                np.full_like(radius, step_size),
                np.int32(steps),
                graph,
                *chosen,
                norm=self.norm,
                queries_per_image=steps,
            )
            checks.check_finite(is_finite, "features and their gradients")
            logits = classifier.logits(iterates, labels)
            predictions = losses.classes_of(logits)
            checks.check_predictions(predictions)
            best.update(
                np.arange(len(images)),
                iterates,
                losses.cross_entropies(logits, labels).astype(np.float32),
                (predictions != labels).astype(np.float32),
            )


def _wrong_classes(
    logits: NDArray[np.float32],
    labels: NDArray[np.int32],
    available: list[int],
    count: int,
) -> list[NDArray[np.int32]]:
    """Returns wrong classes of each image, the likeliest first.

    Args:
        logits: float32 array of shape `(B, classes)`.
        labels: int array of shape `(B,)`, the true classes.
        available: list of int, the classes to choose from.
        count: int, how many classes to return, at most.

    Raises:
        AttackError: if there is no wrong class for some label, or the model
            does not know a class.
    """
    if max(available, default=0) >= logits.shape[1]:
        raise AttackError(
            "peers must have labels below the number of logits, "
            f"{logits.shape[1]}. Received: peers of the classes {available}"
        )
    candidates = np.full(logits.shape, -np.inf)
    candidates[:, available] = logits[:, available]
    wrong = min(sum(c != label for c in available) for label in labels)
    if wrong == 0:
        raise AttackError(
            "every graph must have peers of another class than the image: draw "
            f"more peers. Received: peers of the classes {available}"
        )
    return list(
        losses.likeliest_wrong_classes(candidates, labels, min(count, wrong)).T
    )
