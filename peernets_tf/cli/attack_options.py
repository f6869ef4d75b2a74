"""The flags for the arguments of attacks, but their strengths."""

from typing import Any

from absl import flags

from peernets_tf import attacks

# The command that defines them owns them, and its --help shows them.
flags.disclaim_key_flags()


def define() -> dict[str, flags.FlagHolder[Any]]:
    """Defines a flag for each argument of an attack.

    The value None stands for the argument's own default.
    """
    return {
        "loss": flags.DEFINE_enum(
            "loss",
            None,
            attacks.LOSSES,
            "Loss that the attack increases. margin: the largest other logit "
            "minus the logit of the label (default: margin for "
            "finite_difference, nes and spsa; otherwise cross_entropy).",
        ),
        "step_size": flags.DEFINE_float(
            "step_size",
            None,
            "Length of a step for images in [0, 1] "
            "(default: 2.5 * epsilon / steps; at most epsilon for "
            "finite_difference and nes).",
            0.0,
        ),
        "random_start": flags.DEFINE_bool(
            "random_start",
            None,
            "Start PGD at a random point within epsilon of the image "
            "(default: true).",
        ),
        "restarts": flags.DEFINE_integer(
            "restarts",
            None,
            "Number of runs of PGD, APGD or FAB per image, of which the best "
            "is kept. For neighbor_guided, the number of classes to pull "
            "towards, the likeliest wrong one first (default: 1).",
            1,
        ),
        "guides_per_pixel": flags.DEFINE_integer(
            "guides_per_pixel",
            None,
            "Peer pixels of another class that --attack=neighbor_guided pulls "
            "each pixel towards (default: 10).",
            1,
        ),
        "steps_per_choice": flags.DEFINE_integer(
            "steps_per_choice",
            None,
            "Steps after which --attack=neighbor_guided chooses those peer "
            "pixels again (default: 10).",
            1,
        ),
        "keep_best": flags.DEFINE_bool(
            "keep_best",
            None,
            "Return PGD's best iterate for each image, not its last "
            "(default: true).",
        ),
        "stop_when_fooled": flags.DEFINE_bool(
            "stop_when_fooled",
            None,
            "Let PGD, APGD, finite_difference, nes and spsa take no more steps "
            "for images that are already fooled. They fool as many images in "
            "less time, if the attacker's graphs are those of the predictions "
            "(default: true for APGD, false for the others).",
        ),
        "queries": flags.DEFINE_integer(
            "queries",
            None,
            "Largest number of queries of --attack=square for each image "
            "(default: 5000).",
            1,
        ),
        "delta": flags.DEFINE_float(
            "delta",
            None,
            "How far --attack=finite_difference, nes and spsa look to each "
            "side of an image in [0, 1] to measure a slope: along each "
            "coordinate, or as the standard deviation of the noise of nes "
            "(default: 1/255; 8/255 for nes, 0.01 for spsa).",
            0.0,
        ),
        "num_groups": flags.DEFINE_integer(
            "num_groups",
            None,
            "Random groups of coordinates that share a slope in "
            "--attack=finite_difference, to save queries; 0 for a slope for "
            "each coordinate (default: 0).",
            0,
        ),
        "num_components": flags.DEFINE_integer(
            "num_components",
            None,
            "Principal components of the first 10,000 training images along "
            "which --attack=finite_difference measures slopes, instead of "
            "coordinates; 0 for none (default: 0).",
            0,
        ),
        "samples": flags.DEFINE_integer(
            "samples",
            None,
            "Random directions in each step of --attack=nes and spsa, each of "
            "which takes two queries (default: 100 for nes, 128 for spsa).",
            1,
        ),
        "learning_rate": flags.DEFINE_float(
            "learning_rate",
            None,
            "Learning rate of Adam in --attack=spsa, for images in [0, 1] "
            "(default: 0.01).",
            0.0,
        ),
        "num_targets": flags.DEFINE_integer(
            "num_targets",
            None,
            "Number of wrong classes that --attack=apgd --loss=dlr or "
            "--attack=fab tries to reach, the likeliest first; 0 for "
            "untargeted APGD (default: 0 for APGD, 9 for FAB).",
            0,
        ),
        "expectation": flags.DEFINE_integer(
            "expectation",
            None,
            "Number of forward passes over which APGD averages each gradient, "
            "for models that draw random numbers (default: 1).",
            1,
        ),
        "targeted": flags.DEFINE_bool(
            "targeted",
            None,
            "Attack towards a random other class for each image "
            "(default: false).",
        ),
        "passes": flags.DEFINE_integer(
            "passes",
            None,
            "Largest number of passes over the training images that fit a "
            "universal perturbation (default: 10).",
            1,
        ),
        "fooling_rate": flags.DEFINE_float(
            "fooling_rate",
            None,
            "Fooling rate in [0, 1] on the training images. The fit of a "
            "universal perturbation stops after a pass that reaches it "
            "(default: 0.8 for deepfool and sequential, as in their "
            "publication; 1 for --maker=gradient, which makes all passes).",
            0.0,
            1.0,
        ),
        "batch_size": flags.DEFINE_integer(
            "maker_batch_size",
            None,
            "Training images per step of the fit of a universal perturbation; "
            "not for --maker=sequential, which takes one (default: 32).",
            1,
        ),
        "clip": flags.DEFINE_bool(
            "clip",
            None,
            "Clip images with a universal perturbation to [0, 1]. The "
            "algorithm's authors do not (default: true; false for "
            "--maker=sequential).",
        ),
    }
