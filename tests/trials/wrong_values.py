"""Wrong values of a flag, by its type and, for text, by what it names."""

# Written as people and scripts write them by mistake. The letters are not
# ASCII digits, although Python calls some of them digits.
_NOT_NUMBERS = ("", "abc", "\u00b2", "1,5", "--", "\x1b[31m", "../../etc")
_BEYOND = ("inf", "-inf", "nan", "1e400", "1e999999999")
_MISSING = "no/such/file"


def wrong_numbers(is_integer, lower, upper):
    """Returns wrong values of a flag that takes one number.

    Args:
        is_integer: bool, whether it takes integers.
        lower: number or None, the smallest one that the flag allows.
        upper: number or None, the largest one.
    """
    values = [*_NOT_NUMBERS, *_BEYOND]
    if is_integer:
        values += ["1.5", "1e3", str(2**31), str(2**63), "9" * 5000]
    if lower is not None:
        values.append(str(lower - 1))
    else:
        values.append("-1")
    if upper is not None:
        values.append(str(upper + 1))
    return values


def accepted_numbers(is_integer):
    """Returns values that look wrong, and that Python reads as numbers."""
    # ARABIC-INDIC DIGIT THREE, a grouped number, and absl's hexadecimal.
    return ["\u0663", "1_0", "0x10"] if is_integer else ["1e-1", "1_0.0"]


WRONG_BOOLEANS = ("", "maybe", "2", "nan", "\u00b2", "true,false")
WRONG_CHOICES = (
    "",
    "nonsense",
    "\u00b2",
    "\x1b[31m",
    "../../etc/passwd",
    "a,b",
)
WRONG_LISTS = (
    ",",
    "abc",
    "-1",
    "\u00b2",
    "0.1,,0.2",
    "1/0",
    "1..2",
    "\x1b[31m",
    *_BEYOND,
)

# The wrong texts of each flag that takes a path, a name or another text.
# {samples} is the folder of `samples.Samples`; a test's own folder is empty.
_FILES = (
    _MISSING,
    "{samples}/a_folder",
    "{samples}/binary",
    "\x1b[31m",
    "\u00b2",
)
WRONG_TEXTS = {
    "attack": ("", *_FILES),
    "checkpoint": ("", "nonsense", *_FILES),
    "config": _FILES,
    "data_dir": ("{samples}/binary",),
    "dataset": (
        "nonsense",
        "MNIST",
        "{samples}/a_folder.npz",
        "{samples}/binary.npz",
        f"{_MISSING}.npz",
        "\x1b[31m.npz",
        "../../x.npz",
        "\u00b2",
    ),
    "image": ("", "-1", "30", "1e3", "9" * 5000, *_FILES),
    "initial_model": ("nonsense", *_FILES),
    "loss_func": ("", "nonsense", "XENT", "\u00b2"),
    "name": (
        "",
        ".",
        "..",
        "../escaped",
        "a/b",
        "/absolute",
        "\x1b[31m",
        "a\nb",
    ),
    "output": (
        "",
        "out",
        "out.h5",
        f"{_MISSING}.keras",
        f"{_MISSING}.png",
        "{samples}/a_folder",
    ),
    "output_dir": ("{samples}/binary", "{samples}/binary/below"),
    "perturbation": _FILES,
    "predictions": (
        "",
        "pred.txt",
        f"{_MISSING}.npy",
        "{samples}/a_folder.npy",
    ),
    "run_dir": ("", _MISSING, "{samples}/a_folder", "{samples}/binary"),
}
# Texts that are allowed: an empty one stands for the flag's default.
ACCEPTED_TEXTS = {
    name: ("",) for name in ("config", "data_dir", "dataset", "output_dir")
}
