"""What a picture draws, read from its figure."""

from peernets_tf import pictures


def figure(picture, theme=pictures.LIGHT):
    """Returns the figure of a picture, laid out, so that errors are seen."""
    with pictures.styled(theme):
        made = picture.draw(theme)
        made.canvas.draw()
    return made


def lines(axes):
    """Returns the points of each line with intervals, as lists of (x, y)."""
    found = []
    for container in axes.containers:
        x, y = container.lines[0].get_data()
        found.append(list(zip(x, y, strict=True)))
    return found


def texts(axes):
    """Returns the texts inside of the axes, as they are given."""
    return [text.get_text() for text in axes.texts]
