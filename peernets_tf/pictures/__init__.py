"""Pictures of records and of models, and the report that shows them."""

from peernets_tf.pictures.charts import charts
from peernets_tf.pictures.report_folder import write_report
from peernets_tf.pictures.style import (
    DARK,
    LIGHT,
    LINE_STYLES,
    Picture,
    Theme,
    render,
    save,
    styled,
)

__all__ = [
    "DARK",
    "LIGHT",
    "LINE_STYLES",
    "Picture",
    "Theme",
    "charts",
    "render",
    "save",
    "styled",
    "write_report",
]
