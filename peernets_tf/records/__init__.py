"""Records of runs: JSON files from which every table and picture is made."""

from peernets_tf.records import paper, statistics, suite_tables, tables
from peernets_tf.records.escaping import code, escape, visible
from peernets_tf.records.folder_lock import lock_folder, take_turn
from peernets_tf.records.kinds import Record
from peernets_tf.records.names import (
    ball_text,
    dataset_name,
    graphs_text,
    network_name,
    radius_text,
)
from peernets_tf.records.provenance import capture, with_seconds
from peernets_tf.records.reporting import report
from peernets_tf.records.run_folder import claim, run_id
from peernets_tf.records.schema import (
    SCHEMA_VERSION,
    AttackCase,
    AttackRecord,
    BenchmarkRecord,
    ComparisonCase,
    ComparisonRecord,
    ComparisonRow,
    ComparisonTraining,
    Graphs,
    InitialModel,
    Provenance,
    ThreatModel,
    TrainingRecord,
    TrialFailure,
    TrialGroup,
    TrialsRecord,
)
from peernets_tf.records.sources import Source, of_kind, read_sources
from peernets_tf.records.storage import of_model, read, write
from peernets_tf.records.suite import (
    VERDICTS,
    Check,
    SuiteCase,
    SuiteRecord,
    SuiteResult,
)

__all__ = [
    "SCHEMA_VERSION",
    "VERDICTS",
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
    "ball_text",
    "capture",
    "claim",
    "code",
    "dataset_name",
    "escape",
    "graphs_text",
    "lock_folder",
    "network_name",
    "of_kind",
    "of_model",
    "paper",
    "radius_text",
    "read",
    "read_sources",
    "report",
    "run_id",
    "statistics",
    "suite_tables",
    "tables",
    "take_turn",
    "visible",
    "with_seconds",
    "write",
]
