"""The table of the suites `table7`: white boxes beside a black box."""

from collections.abc import Iterator

from peernets_tf.records import paper
from peernets_tf.records.names import radius_text
from peernets_tf.records.suite import SuiteCase, SuiteRecord
from peernets_tf.records.tables import Table, rate_text

COLUMNS = (
    "attack",
    "radius",
    "delta",
    "white-box",
    "BPDA",
    "black-box",
    "queries each",
    "paper",
)


def black_box_table(record: SuiteRecord, subject: str) -> Table:
    """Returns the fooling rates of a suite `table7`.

    Each row is a black-box attack by finite differences of width delta, beside
    the white-box attacks with as many steps in the same ball. Rates are of the
    images that were classified correctly; the paper's are those of its white
    box and of its black box.

    Args:
        record: the `SuiteRecord`.
        subject: str, what the title calls the model and its images.
    """
    result = record.result
    title = (
        f"{subject}, {result.title}: images fooled of {result.correct:,} that "
        "were classified correctly"
    )
    return Table(title, COLUMNS, tuple(_rows(record)))


def _rows(record: SuiteRecord) -> Iterator[tuple[str, ...]]:
    cases = {case.name: case for case in record.result.cases}
    for name, case in cases.items():
        row, separator, delta = name.partition("-delta-")
        if not separator:
            continue
        kind, pixels = row.split("-")
        published = None
        if record.dataset == "cifar10":
            key = (record.model, kind, float(pixels))
            published = paper.QUERIES.get(key)
        yield (
            f"{kind} step" if kind == "single" else kind,
            radius_text(case.epsilon),
            f"{delta}/255",
            _rate(cases.get(row)),
            _rate(cases.get(f"{row}-identity")),
            _rate(case),
            f"{case.queries / max(case.attacked, 1):,.0f}",
            "{:.0%} / {:.0%}".format(*published) if published else "-",
        )


def _rate(case: SuiteCase | None) -> str:
    return rate_text(case.fooled, case.attacked) if case else "-"
