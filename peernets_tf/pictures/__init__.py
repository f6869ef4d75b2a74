"""Pictures of records and of models, and the report that shows them."""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.pictures.charts import charts
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

if TYPE_CHECKING:
    from peernets_tf.pictures.report_folder import write_report
    from peernets_tf.pictures.strengths import strength_pictures
    from peernets_tf.pictures.universal import budget_of, universal_pictures
else:
    # These need Keras, which pictures of records do without.
    __getattr__, __dir__ = lazy.exports(
        __name__,
        budget_of="universal",
        strength_pictures="strengths",
        universal_pictures="universal",
        write_report="report_folder",
    )

__all__ = [
    "DARK",
    "LIGHT",
    "LINE_STYLES",
    "Picture",
    "Theme",
    "budget_of",
    "charts",
    "render",
    "save",
    "strength_pictures",
    "styled",
    "universal_pictures",
    "write_report",
]
