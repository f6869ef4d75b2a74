"""Pictures of records and of models, and the report that shows them."""

from peernets_tf.pictures.franken import franken_picture
from peernets_tf.pictures.neighbors import neighbors_picture
from peernets_tf.pictures.peer_pictures import peer_pictures
from peernets_tf.pictures.story_picture import story_picture
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
    "franken_picture",
    "neighbors_picture",
    "peer_pictures",
    "render",
    "save",
    "story_picture",
    "styled",
]
