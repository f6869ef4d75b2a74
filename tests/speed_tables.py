"""The tables of docs/ that show what benchmarks measured."""

from peernets_tf.records.benchmark_tables import ratio_text
from peernets_tf.records.tables import Table


def speed(found):
    """What benchmarks measured, in the columns that suit each of them."""
    return [SPEED[record.name](record.cases) for record in found]


def searches(found):
    """What our search for neighbours takes, and which layer needs it."""
    (record,) = found
    rows = tuple(
        (
            case["used_in"],
            _size(case),
            str(case["k"]),
            f"{1000 * case['median_seconds']['nearest_neighbors']:.0f} ms",
            f"{case['memory_mib']['search']:.0f} MiB",
        )
        for case in record.cases
    )
    columns = ("used in", "queries x keys x channels", "k", "time", "memory")
    return [Table("", columns, rows)]


def _nearest_neighbors(cases):
    others = ("chunked_product", "whole_product", "top_k", "faiss")
    rows = tuple(
        (
            _size(case),
            str(case["k"]),
            *(
                ratio_text(case["seconds"], "nearest_neighbors", other)
                for other in others
            ),
        )
        for case in cases
    )
    columns = ("ours /", "k", "chunked product", "product", "top_k", "faiss")
    return Table("", columns, rows)


def _size(case):
    sizes = (case["num_queries"], case["num_keys"], case["num_channels"])
    return " x ".join(map(str, sizes))


def _attention(cases):
    rows = tuple(
        (
            case["pass"],
            f"{1000 * case['median_seconds']['plain']:.1f} ms",
            f"{1000 * case['median_seconds']['compiled']:.1f} ms",
            ratio_text(case["seconds"], "plain", "compiled"),
        )
        for case in cases
    )
    columns = ("pass", "without XLA", "with XLA", "speed-up")
    return Table("", columns, rows)


def _training_step(cases):
    rows = tuple(
        (
            f"{case['peernet']}, batch of {case['batch_size']}",
            f"{case['median_seconds'][case['peernet']]:.3f} s",
            ratio_text(case["seconds"], case["peernet"], case["baseline"]),
        )
        for case in cases
    )
    columns = ("network", "step", "time / baseline")
    return Table("", columns, rows)


def _inference(cases):
    timed, measured = cases
    (one_graph,) = (n for n in timed["seconds"] if n.endswith(" x 1 peers"))
    rows = [
        (
            name.removesuffix(" peers"),
            f"{1000 * seconds:.0f} ms",
            ratio_text(timed["seconds"], name, "resnet32"),
            ratio_text(timed["seconds"], name, one_graph),
            "-",
        )
        for name, seconds in timed["median_seconds"].items()
    ]
    for name, peak in measured["peak_mib"].items():
        before = measured["mib_before"][name]
        rows.append(
            (
                name.removesuffix(" peers"),
                *["-"] * 3,
                f"{peak:.0f} ({before:.0f}) MiB",
            )
        )
    columns = (
        "network",
        "time",
        "time / resnet32",
        "time / one graph",
        "memory",
    )
    return Table("", columns, tuple(rows))


def _set_peers(cases):
    rows = tuple(
        (
            str(case["num_peers"]),
            f"{case['median_seconds']['set_peers']:.0f} s",
            f"{case['peak_mib']['set_peers']:.0f} MiB",
            f"{case['mib_before']['set_peers']:.0f} MiB",
        )
        for case in cases
    )
    columns = ("images", "time", "peak memory", "memory before the call")
    return Table("", columns, rows)


def _search_in_blocks(cases):
    rows = tuple(
        (
            f"{case['num_images']:,}",
            f"{case['features_mib']:.0f} MiB",
            name,
            f"{seconds / case['query_images']:.1f} s",
            f"{cpu_seconds[name] / case['query_images']:.1f} s",
            f"{case['peak_mib'][name]:.0f} MiB",
            f"{case['mib_before'][name]:.0f} MiB",
        )
        for case in cases
        for cpu_seconds in [case["median_cpu_seconds"]]
        for name, seconds in case["median_seconds"].items()
    )
    columns = (
        "images",
        "features",
        "read as",
        "time / image",
        "CPU time / image",
        "peak memory",
        "of these before",
    )
    return Table("", columns, rows)


def _scaling(cases):
    rows = tuple(
        (
            name,
            f"{1000 * seconds:.0f} ms",
            ratio_text(case["seconds"], name, reference),
        )
        for case in cases
        for reference in [_reference(case)]
        for name, seconds in case["median_seconds"].items()
    )
    return Table("", ("size", "time", "relative to the reference"), rows)


def _reference(case):
    ratios = case["ratio_to_reference"]
    return next(name for name, ratio in ratios.items() if ratio == 1)


def _precision(cases):
    rows = tuple(
        (
            case["peernet"],
            case["measure"],
            name,
            f"{1000 * seconds:.0f} ms",
            ratio_text(case["seconds"], name, "float32"),
            _correct(case, name),
        )
        for case in cases
        for name, seconds in case["median_seconds"].items()
    )
    columns = (
        "network",
        "measure",
        "precision",
        "time",
        "time / float32",
        "correct",
    )
    return Table("", columns, rows)


def _correct(case, precision):
    if "correct" not in case:
        return "-"
    text = f"{case['correct'][precision]} of {case['test_size']}"
    return (
        text if precision == "float32" else f"{text}, {case['changed']} differ"
    )


def _workers(cases):
    rows = tuple(
        (
            case["attack"],
            name,
            f"{case['images'] / seconds:.1f}",
            ratio_text(case["seconds"], "1 process", name),
        )
        for case in cases
        for name, seconds in case["median_seconds"].items()
    )
    columns = ("attack", "by", "images / s", "speed-up")
    return Table("", columns, rows)


def _attacks(cases):
    rows = tuple(
        (
            case["attack"],
            name,
            f"{case['images'] / seconds:.3g}",
            ratio_text(case["seconds"], name, "ours"),
            # The rate of one image says nothing about how it was attacked.
            f"{case['fooling_rate'][name]:.1%}" if case["images"] > 1 else "-",
        )
        for case in cases
        for name, seconds in case["median_seconds"].items()
    )
    columns = (
        "attack",
        "by",
        "images / s",
        "time / ours",
        "fooled",
    )
    return Table("", columns, rows)


def _autoattack(cases):
    rows = tuple(
        (
            case["attack"],
            *(f"{n / case['images']:.1%}" for n in case["correct"].values()),
            f"{case['images_that_differ']} of {case['images']}",
        )
        for case in cases
    )
    columns = ("attack", "peernets_tf", "torchattacks", "images that differ")
    return Table("", columns, rows)


def _adversarial_training(cases):
    rows = tuple(
        (
            name,
            f"{case['steps_a_round'] * case['batch_size'] / seconds:.1f}",
            ratio_text(case["seconds"], name, "ours"),
        )
        for case in cases
        for name, seconds in case["median_seconds"].items()
    )
    columns = ("by", "images / s", "time / ours")
    return Table("", columns, rows)


SPEED = {
    "nearest_neighbors": _nearest_neighbors,
    "attention": _attention,
    "training_step": _training_step,
    "scaling": _scaling,
    "precision": _precision,
    "workers": _workers,
    "inference": _inference,
    "set_peers": _set_peers,
    "search_in_blocks": _search_in_blocks,
    "attacks": _attacks,
    "autoattack": _autoattack,
    "adversarial_training": _adversarial_training,
}
