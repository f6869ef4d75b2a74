"""Attacks of other libraries, as functions without arguments."""

import warnings

import numpy as np
import tensorflow as tf


def foolbox_pgd(logits_fn, test, epsilon, *, steps, step_size):
    """Returns Foolbox's PGD on the images of a split."""
    # Foolbox calls a function that NumPy 2 removed.
    if not hasattr(np, "find_common_type"):
        np.find_common_type = lambda arrays, scalars: np.result_type(
            *arrays, *scalars
        )
    import foolbox

    model = foolbox.TensorFlowModel(logits_fn, bounds=(0, 1))
    attack = foolbox.attacks.LinfPGD(abs_stepsize=step_size, steps=steps)
    images, labels = tf.constant(test.images), tf.constant(test.labels)
    return lambda: attack(model, images, labels, epsilons=epsilon)[1].numpy()


def art_pgd(model, epsilon, *, steps, step_size, batch_size):
    """Returns ART's PGD, a function of images and labels."""
    from art.attacks.evasion import ProjectedGradientDescent

    attack = ProjectedGradientDescent(
        _art_classifier(model),
        eps=epsilon,
        eps_step=step_size,
        max_iter=steps,
        num_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )
    return attack.generate


def art_apgd(model, test, epsilon, *, steps):
    """Returns ART's Auto-PGD on the cross-entropy of a split."""
    from art.attacks.evasion import AutoProjectedGradientDescent

    attack = AutoProjectedGradientDescent(
        _art_classifier(model),
        norm=np.inf,
        eps=epsilon,
        eps_step=2 * epsilon,
        max_iter=steps,
        nb_random_init=1,
        batch_size=len(test),
        loss_type="cross_entropy",
        verbose=False,
    )
    return lambda: attack.generate(test.images, test.labels)


def art_square(model, test, epsilon, *, queries):
    """Returns ART's Square Attack on the images of a split."""
    from art.attacks.evasion import SquareAttack

    attack = SquareAttack(
        _art_classifier(model),
        norm=np.inf,
        eps=epsilon,
        # Ours counts the query of the start, too.
        max_iter=queries - 1,
        p_init=0.8,
        batch_size=len(test),
        verbose=False,
    )
    return lambda: attack.generate(test.images, test.labels)


def finite_differences_one_by_one(ask, test, epsilon, *, num_groups, delta):
    """Returns images after one step of finite differences, asked one by one.

    Args:
        ask: function from images `(1, H, W, C)` to logits.
        test: the split of the images.
        epsilon: float, the length of the step.
        num_groups: int, the random groups of coordinates.
        delta: float, how far a group is moved to each side.
    """

    def margin(image, label):
        logits = ask(image[None].astype("float32"))[0]
        return np.delete(logits, label).max() - logits[label]

    rng = np.random.default_rng(0)
    found = []
    for image, label in zip(test.images, test.labels, strict=True):
        groups = rng.permutation(image.size).reshape(image.shape) % num_groups
        gradient = np.zeros_like(image)
        for group in range(num_groups):
            move = delta * (groups == group)
            slope = margin(image + move, label) - margin(image - move, label)
            gradient[groups == group] = slope
        moved = np.clip(image + epsilon * np.sign(gradient), 0, 1)
        # As ours does, to see whether it fools.
        margin(moved, label)
        found.append(moved)
    return np.array(found, "float32")


def art_universal(model, images, epsilon):
    """Returns ART's universal perturbation, fitted in one pass."""
    from art.attacks.evasion import UniversalPerturbation

    def fit():
        # ART's DeepFool takes up to 100 steps with an overshoot of 1e-6 by
        # default. These are the settings of the published algorithm.
        attack = UniversalPerturbation(
            _art_classifier(model),
            attacker="deepfool",
            attacker_params={
                "max_iter": 10,
                "epsilon": 0.02,
                "nb_grads": 10,
                "verbose": False,
            },
            delta=0.2,
            max_iter=1,
            eps=epsilon,
            norm=2,
            verbose=False,
        )
        attack.generate(images)
        return attack.noise[0]

    return fit


def _art_classifier(model):
    with warnings.catch_warnings():
        # It warns that PyTorch is not installed.
        warnings.simplefilter("ignore")
        from art.estimators.classification import TensorFlowV2Classifier

    height, width, channels = model.input_shape[1:]
    return TensorFlowV2Classifier(
        model,
        nb_classes=10,
        input_shape=(height, width, channels),
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        ),
        clip_values=(0, 1),
    )
