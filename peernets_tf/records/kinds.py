"""The kinds of records, by the names that their files hold."""

from peernets_tf.records.schema import (
    AttackRecord,
    BenchmarkRecord,
    ComparisonRecord,
    TrainingRecord,
    TrialsRecord,
)
from peernets_tf.records.suite import SuiteRecord

Record = (
    TrainingRecord
    | AttackRecord
    | SuiteRecord
    | ComparisonRecord
    | BenchmarkRecord
    | TrialsRecord
)
TYPES: dict[str, type[Record]] = {
    record_type.kind: record_type
    for record_type in (
        TrainingRecord,
        AttackRecord,
        SuiteRecord,
        ComparisonRecord,
        BenchmarkRecord,
        TrialsRecord,
    )
}
