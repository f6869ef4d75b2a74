"""Small valid files that trials start from, made by the commands themselves."""

import dataclasses
import pathlib

import numpy as np
from PIL import Image

from trials.trial import Trial


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples:
    """Where the valid files of a series of trials lie.

    Attributes:
        root: the folder of all of them.
    """

    root: pathlib.Path

    def path(self, name: str) -> str:
        """Returns the path of one sample, such as `gray.npz`."""
        return str(self.root / name)

    @property
    def train(self) -> tuple[str, ...]:
        """Flags of a short training of a PeerNet."""
        return (
            f"--dataset={self.path('gray.npz')}",
            "--model=pr_lenet5",
            "--epochs=2",
            "--batch_size=16",
            "--num_peers=8",
            "--num_graphs=2",
        )

    @property
    def evaluate(self) -> tuple[str, ...]:
        """Flags of a short evaluation of the model of that training."""
        return (
            # One backward pass, so one folder.
            "--backward=exact",
            f"--checkpoint={self.path('train/model.keras')}",
            f"--dataset={self.path('gray.npz')}",
            "--attack=pgd",
            "--steps=2",
            "--batch_size=10",
        )

    @property
    def explain(self) -> tuple[str, ...]:
        """Flags of an explanation by the model of that training."""
        return (
            f"--checkpoint={self.path('train/model.keras')}",
            f"--dataset={self.path('gray.npz')}",
            "--image=3",
        )

    @property
    def universal(self) -> tuple[str, ...]:
        """Flags of an evaluation under a perturbation of a file."""
        return (
            f"--checkpoint={self.path('train/model.keras')}",
            f"--dataset={self.path('gray.npz')}",
            "--attack=universal",
        )

    @property
    def challenge(self) -> tuple[str, ...]:
        """Flags of a short training of the challenge."""
        return (
            f"--dataset={self.path('color.npz')}",
            "--network=pr_lenet5",
            "--max_num_training_steps=4",
            "--num_checkpoint_steps=2",
            "--training_batch_size=8",
            "--num_steps=1",
            "--num_peers=8",
            "--num_graphs=1",
        )

    @property
    def challenge_evaluate(self) -> tuple[str, ...]:
        """Flags of a short evaluation of the challenge."""
        return (
            f"--checkpoint={self.path('challenge/model.keras')}",
            f"--dataset={self.path('color.npz')}",
            "--num_eval_examples=10",
            "--num_steps=1",
        )


def make(root: pathlib.Path, warm) -> Samples:
    """Writes all samples into a folder.

    Args:
        root: an existing, empty folder.
        warm: the `Warm` process that runs the commands.

    Raises:
        RuntimeError: if a command fails.
    """
    samples = Samples(root=root)
    write_data(root / "gray.npz", channels=1)
    write_data(root / "color.npz", channels=3)
    (root / "a_folder").mkdir()
    (root / "a_folder.npz").mkdir()
    (root / "a_folder.npy").mkdir()
    (root / "binary").write_bytes(bytes(range(128, 256)) * 8)
    (root / "binary.npz").write_bytes(bytes(range(128, 256)) * 8)
    np.save(root / "perturbation.npy", np.full((12, 12, 1), 0.01, np.float32))
    np.save(root / "attack.npy", np.zeros((10_000, 32, 32, 3), np.uint8))
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(root / "photo.png")
    Image.fromarray(pixels).save(root / "photo.jpg")
    (root / "good.flags").write_text("--epochs=2\n--num_peers=8\n")
    runs = {
        "train": ("peernets_tf.train", samples.train),
        "evaluate": ("peernets_tf.evaluate", samples.evaluate),
        "challenge": ("madry_challenge.train", samples.challenge),
    }
    for name, (module, arguments) in runs.items():
        trial = Trial(
            name=f"sample {name}",
            module=module,
            arguments=(*arguments, f"--output_dir={root / name}"),
        )
        outcome = warm.run(trial, root, limit=300)
        if outcome.status != 0:
            raise RuntimeError(f"{trial.command_line}:\n{outcome.stderr}")
    return samples


def write_data(path: pathlib.Path, channels: int) -> None:
    """Writes an .npz data set of three kinds of stripes, 12 x 12 pixels."""
    rng = np.random.default_rng(1)
    arrays = {}
    for split, count in (("train", 144), ("test", 30)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 60, (count, 12, 12, channels))
        for image, label in zip(images, labels, strict=True):
            image[4 * label : 4 * label + 4] += 180
        arrays[f"x_{split}"] = images.astype(np.uint8)
        arrays[f"y_{split}"] = labels
    np.savez(path, **arrays)
