"""Text from files, made safe for tables, cards and terminals."""

import unicodedata

_MARKUP = {"|": "\\|", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    r"""Returns text as one line of Markdown without HTML or control characters.

    Control characters become escape sequences such as `\x1b`. `|`, `<` and `>`
    are written so that they end no cell and start no tag.
    """
    return "".join(_MARKUP.get(c, _visible(c)) for c in text)


def code(text: str) -> str:
    """Returns text for a Markdown code span: one line without backticks."""
    return "".join("'" if c == "`" else _visible(c) for c in text)


def visible(text: str) -> str:
    r"""Returns text whose invisible characters are sequences such as `\x1b`."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    """Returns a character, or the escape sequence of an invisible one."""
    # Control and format characters, surrogates, line and paragraph separators.
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character
