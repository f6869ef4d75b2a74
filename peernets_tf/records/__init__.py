"""Records of runs: JSON files from which every table and picture is made."""

from peernets_tf.records import (
    attack_tables,
    benchmark_tables,
    comparison_table,
    paper,
    per_image,
    statistics,
    suite_tables,
    tables,
    training_tables,
    trials_tables,
)
from peernets_tf.records.attack import AttackCase, AttackRecord
from peernets_tf.records.benchmark import BenchmarkRecord
from peernets_tf.records.comparison import (
    ComparisonCase,
    ComparisonRecord,
    ComparisonRow,
    ComparisonTraining,
)
from peernets_tf.records.escaping import code, escape, visible
from peernets_tf.records.folder_lock import lock_folder, take_turn
from peernets_tf.records.kinds import Record
from peernets_tf.records.names import (
    ball_text,
    checkpoint_name,
    dataset_name,
    graphs_text,
    network_name,
    radius_text,
)
from peernets_tf.records.provenance import capture, with_seconds
from peernets_tf.records.reporting import report
from peernets_tf.records.run_folder import claim, identity_of, run_id
from peernets_tf.records.schema import (
    SCHEMA_VERSION,
    Graphs,
    Provenance,
    ThreatModel,
)
from peernets_tf.records.sources import Source, of_kind, read_sources
from peernets_tf.records.storage import of_model, read, write
from peernets_tf.records.suite import (
    Check,
    SuiteCase,
    SuiteRecord,
    SuiteResult,
)
from peernets_tf.records.training import InitialModel, TrainingRecord
from peernets_tf.records.trials import TrialFailure, TrialGroup, TrialsRecord

__all__ = [
    "SCHEMA_VERSION",
    "AttackCase",
    "AttackRecord",
    "BenchmarkRecord",
    "Check",
    "ComparisonCase",
    "ComparisonRecord",
    "ComparisonRow",
    "ComparisonTraining",
    "Graphs",
    "InitialModel",
    "Provenance",
    "Record",
    "Source",
    "SuiteCase",
    "SuiteRecord",
    "SuiteResult",
    "ThreatModel",
    "TrainingRecord",
    "TrialFailure",
    "TrialGroup",
    "TrialsRecord",
    "attack_tables",
    "ball_text",
    "benchmark_tables",
    "capture",
    "checkpoint_name",
    "claim",
    "code",
    "comparison_table",
    "dataset_name",
    "escape",
    "graphs_text",
    "identity_of",
    "lock_folder",
    "network_name",
    "of_kind",
    "of_model",
    "paper",
    "per_image",
    "radius_text",
    "read",
    "read_sources",
    "report",
    "run_id",
    "statistics",
    "suite_tables",
    "tables",
    "take_turn",
    "training_tables",
    "trials_tables",
    "visible",
    "with_seconds",
    "write",
]
