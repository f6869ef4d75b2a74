"""Attacks a model's test images batch by batch, and counts what they change."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import data
from peernets_tf.attacks import autodiff, guards, losses

# A function of the attacks' signature.
Attack = Callable[..., NDArray[np.float32]]


class BatchLog:
    """What was found out batch by batch, in a file that grows by lines.

    Args:
        path: str, a file of JSON lines, made if it is not there.
        identity: dict, what the figures depend on.

    Raises:
        AttackError: if the file belongs to an evaluation of another identity.
    """

    def __init__(self, path: str, identity: dict[str, Any]) -> None:
        self._path = path
        self._rows: dict[str, dict[str, Any]] = {}
        # As JSON gives it back: lists for tuples.
        identity = json.loads(json.dumps(identity))
        lines: list[dict[str, Any]] = []
        if os.path.exists(path):
            lines = list(_whole_lines(path))
        if lines and lines[0] != identity:
            raise guards.AttackError(
                f"{path} is of another evaluation: choose another --output_dir "
                "or remove it"
            )
        for line in lines[1:]:
            self._rows[line["key"]] = line
        # A line that a kill cut short must not stay before the next.
        with open(path, "w", encoding="utf-8") as file:
            for line in [identity, *lines[1:]]:
                file.write(json.dumps(line) + "\n")

    def get(self, key: str) -> dict[str, Any] | None:
        """Returns the row of that key, or None."""
        return self._rows.get(key)

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Stores a row, in the file too before it returns."""
        self._rows[key] = {"key": key, **row}
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(self._rows[key]) + "\n")
            file.flush()
            os.fsync(file.fileno())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What is attacked.

    Attributes:
        judge: function from images to the logits that count.
        attacked: function from images to logits, whose gradient the attack
            follows: the same, one of other graphs of peers, or a surrogate.
        test: the `Split` whose images are attacked.
        num_classes: int.
        batch_size: int, images attacked at once.
        seed: int.
    """

    judge: autodiff.LogitsFunction
    attacked: autodiff.LogitsFunction
    test: data.Split
    num_classes: int
    batch_size: int
    seed: int

    def batches(self) -> Iterator[tuple[int, data.Split]]:
        for i in range(0, len(self.test), self.batch_size):
            part = slice(i, i + self.batch_size)
            yield (
                i // self.batch_size,
                data.Split(
                    images=self.test.images[part], labels=self.test.labels[part]
                ),
            )


def clean_predictions(
    target: Target, log: BatchLog, *, loss: str = "cross_entropy"
) -> list[dict[str, Any]]:
    """Predicts the unperturbed images, and looks for masked gradients.

    Args:
        target: the `Target`.
        log: the `BatchLog` that batches are read from and written to.
        loss: str, the loss whose gradients are looked at.

    Returns:
        A list of dicts, one a batch: `predictions`, and `zero_gradients`, the
        images at which the gradient of the loss is exactly zero.

    Raises:
        AttackError: if the model ends in a softmax, or images lie outside
            [0, 1].
    """
    rows = []
    predict = autodiff.predictions_of(target.judge)
    gradient = autodiff.compiled(_gradient_of(target.attacked, loss))
    for number, batch in _with_progress(target, "unperturbed images"):
        row = log.get(f"clean/{number}")
        if row is None:
            if number == 0:
                guards.check_images(batch.images)
                guards.check_logits(target.judge(batch.images[:8]))
            (predictions,) = autodiff.in_buckets(predict, batch.images)
            (gradients,) = autodiff.in_buckets(
                gradient, batch.images, batch.labels
            )
            is_zero = ~gradients.reshape(len(gradients), -1).any(axis=1)
            row = {
                "predictions": predictions.tolist(),
                "zero_gradients": int(is_zero.sum()),
            }
            log.add(f"clean/{number}", row)
        rows.append(row)
    return rows


def attack_images(
    target: Target,
    attack: Attack,
    clean: list[dict[str, Any]],
    log: BatchLog,
    *,
    name: str,
    targeted: bool = False,
    epsilon: float | None = None,
    norm: str | None = None,
) -> dict[str, Any]:
    """Attacks all test images and counts.

    Args:
        target: the `Target`.
        attack: the attack, `attack(logits_fn, images, labels, seed=...)`.
        clean: list of dicts, from `clean_predictions`.
        log: the `BatchLog` that batches are read from and written to.
        name: str, what the rows are stored under.
        targeted: bool, whether the attack is handed other classes to reach,
            drawn at random, instead of the labels to leave.
        epsilon: float or None, the radius that every perturbation must keep.
        norm: str or None, the norm of that radius.

    Returns:
        A dict of counts: `total`; `correct` unperturbed; `adversarial_correct`;
        `changed`, the images whose prediction changed; `fooled`, those that
        were correct and are not any more (or, targeted, reach their class).
        Then `zero_gradients`, and `mean_l2` and `mean_linf`, the mean norms
        over fooled images for pixels on 0-255, None if there are none.

    Raises:
        AttackError: if an adversarial image lies outside [0, 1] or the ball.
    """
    rows: list[dict[str, Any]] = []
    predict = autodiff.predictions_of(target.judge)
    for number, batch in _with_progress(target, name, rows):
        row = log.get(f"{name}/{number}")
        if row is None:
            seed = (target.seed, number)
            goals = batch.labels
            if targeted:
                rng = np.random.default_rng((13, *seed))
                other = rng.integers(1, target.num_classes, len(goals))
                goals = ((goals + other) % target.num_classes).astype(np.int32)
            adversarial = attack(
                target.attacked,
                batch.images,
                goals,
                seed=int(np.random.default_rng(seed).integers(2**31)),
            )
            change = (adversarial - batch.images).reshape(len(batch), -1)
            guards.check_images(adversarial)
            guards.check_ball(change, epsilon, norm)
            (predictions,) = autodiff.in_buckets(predict, adversarial)
            was_correct = np.array(clean[number]["predictions"]) == batch.labels
            now = predictions == goals if targeted else predictions != goals
            fooled = was_correct & now
            row = {
                "total": len(batch),
                "correct": int(was_correct.sum()),
                "adversarial_correct": int(np.sum(predictions == batch.labels)),
                "changed": int(
                    np.sum(predictions != clean[number]["predictions"])
                ),
                "fooled": int(fooled.sum()),
                "l2": float(np.linalg.norm(change[fooled], axis=1).sum()),
                "linf": float(np.abs(change[fooled]).max(axis=1).sum()),
            }
            log.add(f"{name}/{number}", row)
        rows.append(row)
    counts = ("total", "correct", "adversarial_correct", "changed", "fooled")
    result: dict[str, Any] = {
        count: sum(row[count] for row in rows) for count in counts
    }
    result["zero_gradients"] = sum(row["zero_gradients"] for row in clean)
    for norm_name in ("l2", "linf"):
        mean = None
        if result["fooled"]:
            total = sum(row[norm_name] for row in rows)
            mean = round(255 * total / result["fooled"], 3)
        result[f"mean_{norm_name}"] = mean
    return result


def _whole_lines(path: str) -> Iterator[dict[str, Any]]:
    """Yields the lines of a file, but a last one that was cut short."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return


def _gradient_of(
    logits_fn: autodiff.LogitsFunction, loss: str
) -> Callable[..., Any]:
    def gradient(images: Any, labels: Any) -> Any:
        def value(images: Any) -> Any:
            return losses.loss(logits_fn(images), labels, loss), images

        return (autodiff.value_and_gradient(value, images)[2],)

    return gradient


def _with_progress(
    target: Target, name: str, rows: list[dict[str, Any]] | None = None
) -> Iterable[tuple[int, data.Split]]:
    """Yields the batches, with a bar that shows the fooling rate so far."""
    bar = keras.utils.Progbar(
        len(target.test), unit_name="image", stateful_metrics=["changed"]
    )
    print(name, flush=True)
    done = 0
    for number, batch in target.batches():
        yield number, batch
        done += len(batch)
        values = []
        if rows:
            values = [("changed", sum(row["changed"] for row in rows) / done)]
        bar.update(done, values)
