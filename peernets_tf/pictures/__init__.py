"""Pictures of records and of models, and the report that shows them."""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.pictures.charts import charts
from peernets_tf.pictures.style import (
    DARK,
    LIGHT,
    Picture,
    render,
    save,
    styled,
)

if TYPE_CHECKING:
    from peernets_tf.pictures.peers import peer_pictures
    from peernets_tf.pictures.report_folder import write_report
    from peernets_tf.pictures.story import story_picture
    from peernets_tf.pictures.strengths import strength_pictures
    from peernets_tf.pictures.universal import budget_of, universal_pictures
else:
    # These need Keras, which pictures of records do without.
    __getattr__, __dir__ = lazy.exports(
        __name__,
        budget_of="universal",
        peer_pictures="peers",
        story_picture="story",
        strength_pictures="strengths",
        universal_pictures="universal",
        write_report="report_folder",
    )

__all__ = [
    "DARK",
    "LIGHT",
    "Picture",
    "budget_of",
    "charts",
    "peer_pictures",
    "render",
    "save",
    "story_picture",
    "strength_pictures",
    "styled",
    "universal_pictures",
    "write_report",
]
