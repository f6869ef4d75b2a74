"""Attacks a model's test images batch by batch, and counts what they change."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import data, peers, results
from peernets_tf.attacks import autodiff, guards, losses

# Streams of random numbers: classes to reach, and what attacks draw.
_GOALS, _ATTACKS = 13, 14
# A function of the attacks' signature.
Attack = Callable[..., NDArray[np.float32]]


class BatchLog:
    """What was found out batch by batch, in a file that grows by lines.

    Args:
        path: str, a file of JSON lines, made if it is not there.
        identity: dict, what the figures depend on.
        environment: dict, the code and machine of this run.

    Attributes:
        environment: dict, the code and machine of the run that made the file.

    Raises:
        AttackError: if the file belongs to an evaluation of another identity.
    """

    def __init__(
        self, path: str, identity: dict[str, Any], environment: dict[str, Any]
    ) -> None:
        self._path = path
        # As JSON gives it back: lists for tuples.
        head = json.loads(
            json.dumps({"identity": identity, "environment": environment})
        )
        lines: list[dict[str, Any]] = [head]
        is_whole = False
        if os.path.exists(path):
            found, is_whole = _whole_lines(path)
            lines = found or lines
        if lines[0]["identity"] != head["identity"]:
            raise guards.AttackError(
                f"{path} is of another evaluation: choose another --output_dir"
            )
        self.environment: dict[str, Any] = lines[0]["environment"]
        self._rows = {line["key"]: line for line in lines[1:]}
        if not is_whole:
            # New, or a kill cut its last line short.
            with (
                results.atomic_file(path) as temporary,
                open(temporary, "w", encoding="utf-8") as file,
            ):
                file.writelines(json.dumps(line) + "\n" for line in lines)

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
        targeted: bool, whether attacks are handed other classes to reach,
            drawn at random, instead of the labels to leave.
    """

    judge: autodiff.LogitsFunction
    attacked: autodiff.LogitsFunction
    test: data.Split
    num_classes: int
    batch_size: int
    seed: int
    targeted: bool = False

    def goals(
        self, number: int, labels: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """Returns what an attack on a batch is handed as labels."""
        if not self.targeted:
            return labels
        rng = np.random.default_rng((_GOALS, self.seed, number))
        other = rng.integers(1, self.num_classes, len(labels))
        return ((labels + other) % self.num_classes).astype(np.int32)

    def batches(self) -> Iterator[tuple[int, data.Split]]:
        for i in range(0, len(self.test), self.batch_size):
            part = slice(i, i + self.batch_size)
            yield (
                i // self.batch_size,
                data.Split(
                    images=self.test.images[part], labels=self.test.labels[part]
                ),
            )


def check_fits(model: keras.Model, dataset: data.Dataset) -> None:
    """Refuses a model of other images or classes than a data set's.

    Raises:
        ValueError: if the shapes differ, or the model does not know its own.
    """
    if isinstance(model, peers.MonteCarlo):
        model = model.model
    if getattr(model, "input_shape", None) is None:
        raise ValueError(
            f"{model.name} has no input shape: give a functional or a "
            "sequential model"
        )
    shape = dataset.test.images.shape[1:]
    if tuple(model.input_shape[1:]) != shape:
        raise ValueError(
            f"the model takes images of shape {tuple(model.input_shape[1:])}, "
            f"but those of {dataset.name} have shape {shape}"
        )
    if model.output_shape[-1] != dataset.num_classes:
        raise ValueError(
            f"the model has {model.output_shape[-1]} logits, but "
            f"{dataset.name} has {dataset.num_classes} classes"
        )


def clean_predictions(
    target: Target, log: BatchLog, *, loss: str | None = "cross_entropy"
) -> list[dict[str, Any]]:
    """Predicts the unperturbed images, and looks for masked gradients.

    Args:
        target: the `Target`.
        log: the `BatchLog` that batches are read from and written to.
        loss: str or None, the loss whose gradient the attack follows.

    Returns:
        A list of dicts, one a batch: `predictions`, and `zero_gradients`, the
        images at which the gradient of the loss is exactly zero or no number;
        None without a loss.

    Raises:
        AttackError: if the model ends in a softmax, gives logits that are no
            numbers, or images lie outside [0, 1].
    """
    rows = []
    predict = autodiff.predictions_of(target.judge)
    for number, batch in _with_progress(target, "unperturbed images"):
        row = log.get(f"clean/{number}")
        if row is None:
            guards.check_images(batch.images)
            if number == 0:
                guards.check_logits(target.judge(batch.images[:8]))
            (predictions,) = autodiff.in_buckets(predict, batch.images)
            guards.check_predictions(predictions)
            zero = None
            if loss is not None:
                gradients, _ = autodiff.in_buckets(
                    losses.gradient_of(
                        target.attacked, loss, targeted=target.targeted
                    ),
                    batch.images,
                    target.goals(number, batch.labels),
                )
                flat = gradients.reshape(len(gradients), -1)
                has_gradient = flat.any(axis=1) & np.isfinite(flat).all(axis=1)
                zero = int(np.sum(~has_gradient))
            row = {
                "predictions": predictions.tolist(),
                "zero_gradients": zero,
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
        epsilon: float or None, the radius that every perturbation must keep.
        norm: str or None, the norm of that radius.

    Returns:
        A dict of counts: `total`; `correct` unperturbed; `adversarial_correct`;
        `changed`, the images whose prediction changed; `fooled`, those that
        were correct and are not any more (or, targeted, reach their class).
        Then `zero_gradients`, and `mean_l2` and `mean_linf`, the mean norms
        over fooled images for pixels on 0-255, None if there are none.

    Raises:
        AttackError: if an adversarial image lies outside [0, 1] or the ball,
            or logits are no numbers.
    """
    rows: list[dict[str, Any]] = []
    predict = autodiff.predictions_of(target.judge)
    for number, batch in _with_progress(target, name, rows):
        row = log.get(f"{name}/{number}")
        if row is None:
            goals = target.goals(number, batch.labels)
            rng = np.random.default_rng((_ATTACKS, target.seed, number))
            adversarial = attack(
                target.attacked,
                batch.images,
                goals,
                seed=int(rng.integers(2**31)),
            )
            change = (adversarial - batch.images).reshape(len(batch), -1)
            guards.check_images(adversarial)
            guards.check_ball(change, epsilon, norm)
            (predictions,) = autodiff.in_buckets(predict, adversarial)
            guards.check_predictions(predictions)
            was_correct = np.array(clean[number]["predictions"]) == batch.labels
            fooled = was_correct & losses.is_fooled(
                predictions, goals, target.targeted
            )
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
    zeros = [row["zero_gradients"] for row in clean]
    result["zero_gradients"] = None if None in zeros else sum(zeros)
    for norm_name in ("l2", "linf"):
        mean = None
        if result["fooled"]:
            total = sum(row[norm_name] for row in rows)
            mean = round(255 * total / result["fooled"], 3)
        result[f"mean_{norm_name}"] = mean
    return result


def _whole_lines(path: str) -> tuple[list[dict[str, Any]], bool]:
    """Returns the lines of a file up to one cut short, and whether none is."""
    lines: list[dict[str, Any]] = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return lines, False
            lines.append(json.loads(line))
    return lines, bool(lines)


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
