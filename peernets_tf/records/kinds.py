"""The kinds of records, by the names that their files hold."""

from peernets_tf.records.attack import AttackRecord
from peernets_tf.records.benchmark import BenchmarkRecord
from peernets_tf.records.comparison import ComparisonRecord
from peernets_tf.records.suite import SuiteRecord
from peernets_tf.records.training import TrainingRecord
from peernets_tf.records.trials import TrialsRecord

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
