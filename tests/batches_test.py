"""Batches: everything once, and the same images after a resume."""

import numpy as np
import pytest

from peernets_tf import datasets
from peernets_tf.errors import UserError


def make_split(count=20):
    images = np.arange(count * 48, dtype="float32").reshape(count, 4, 4, 3)
    return datasets.Split(
        images=images / images.max(), labels=np.arange(count, dtype="int32")
    )


def test_batches_cover_an_epoch_once():
    split = make_split(20)
    batches = datasets.Batches(split, 6, seed=0, augment=False)
    assert len(batches) == 3
    labels = np.concatenate([batches[i][1] for i in range(3)])
    assert len(np.unique(labels)) == 18
    images, labels = batches[1]
    np.testing.assert_array_equal(images, split.images[labels])


def test_batches_depend_on_seed_and_epoch_only():
    split = make_split(20)

    def draw(seed, epoch):
        batches = datasets.Batches(split, 5, seed=seed, augment=True)
        batches.set_epoch(epoch)
        return np.stack([batches[i][0] for i in (2, 0, 1)])

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    assert not np.array_equal(draw(1, 2), draw(1, 3))
    assert not np.array_equal(draw(1, 2), draw(2, 2))


def test_gaussian_data_augmentation():
    """New noise of the given deviation in each epoch, clipped to [0, 1]."""
    gray = datasets.Split(
        images=np.full((400, 4, 4, 3), 0.5, "float32"),
        labels=np.zeros(400, "int32"),
    )
    batches = datasets.Batches(gray, 400, seed=0, augment=False, noise_std=0.1)
    first = batches[0][0]
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, batches[0][0])
    # 19,200 draws: a standard error of 0.0007 and of 0.0005.
    assert abs(first.mean() - 0.5) < 0.003
    assert abs(first.std() - 0.1) < 0.003
    batches.set_epoch(1)
    assert not np.array_equal(first, batches[0][0])
    strong = datasets.Batches(gray, 400, seed=0, augment=False, noise_std=2.0)
    assert strong[0][0].min() == 0
    assert strong[0][0].max() == 1


def test_gaussian_data_augmentation_of_a_share():
    split = make_split(400)

    def draw(epoch, **options):
        batches = datasets.Batches(split, 400, seed=0, augment=False, **options)
        batches.set_epoch(epoch)
        return batches[0][0]

    clean, noisy = draw(0), draw(0, noise_std=0.1)
    mixed = draw(0, noise_std=0.1, noise_share=0.3)
    has_noise = np.any(mixed != clean, axis=(1, 2, 3))
    # Of 400 draws, 120 with a standard deviation of 9.
    assert 80 < has_noise.sum() < 160
    np.testing.assert_array_equal(mixed[has_noise], noisy[has_noise])
    later = draw(1, noise_std=0.1, noise_share=0.3) != draw(1)
    assert not np.array_equal(np.any(later, axis=(1, 2, 3)), has_noise)
    none = draw(0, noise_std=0.1, noise_share=0.0)
    np.testing.assert_array_equal(none, clean)


def test_the_order_of_published_trainings():
    """The draws are part of every record, so they stay as they are."""
    batches = datasets.Batches(make_split(8), 8, seed=3, augment=False)
    batches.set_epoch(2)
    expected = np.random.default_rng((0, 3, 2)).permutation(8)
    np.testing.assert_array_equal(batches[0][1], expected)


def test_refuses_a_batch_larger_than_the_training_set():
    with pytest.raises(UserError, match="batch_size=21"):
        datasets.Batches(make_split(20), 21, seed=0, augment=False)


def test_augment_shifts_and_mirrors(rng):
    image = rng.random((1, 6, 6, 2)).astype("float32") + 1
    drawn = datasets.augment(np.repeat(image, 3000, axis=0), rng, max_shift=1)
    padded = np.pad(image[0], ((1, 1), (1, 1), (0, 0)))
    counts = []
    for top in range(3):
        for left in range(3):
            crop = padded[top : top + 6, left : left + 6]
            for expected in (crop, crop[:, ::-1]):
                same = (drawn == expected).all(axis=(1, 2, 3))
                counts.append(same.sum())
    assert sum(counts) == 3000
    assert min(counts) > 3000 / 18 * 0.7
