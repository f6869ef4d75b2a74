"""Numbers as flags write them: 0.03, 8/255 and counts."""

import math
from collections.abc import Sequence

from peernets_tf.errors import UserError

# No number needs more characters than this.
_MAX_CHARACTERS = 50


def parse_numbers(texts: Sequence[str]) -> tuple[float, ...]:
    """Returns numbers that are written as 0.03 or 8/255.

    Raises:
        UserError: if a text is not a finite number, or a number is negative.
    """
    return tuple(_parse_number(text) for text in texts)


def parse_counts(texts: Sequence[str]) -> tuple[int, ...]:
    """Returns counts that are written in decimal digits.

    Raises:
        UserError: if a text is not a whole number from 1 to 2,147,483,647.
    """
    for text in texts:
        digits = text.strip()
        is_count = digits.isascii() and digits.isdecimal() and len(digits) < 11
        if not is_count or not 0 < int(digits) < 2**31:
            raise UserError(
                "expected whole numbers from 1 to 2147483647. Received: "
                f"'{_shown(text)}'"
            )
    return tuple(map(int, texts))


def _parse_number(text: str) -> float:
    try:
        if len(text) > _MAX_CHARACTERS or not text.isascii():
            raise ValueError(text)
        parts = [float(part) for part in text.split("/")]
        number, divisor = parts if len(parts) == 2 else (*parts, 1.0)
        # Either part may be infinite while the quotient is not.
        if not all(map(math.isfinite, (number, divisor, number / divisor))):
            raise ValueError(text)
    except (OverflowError, ValueError, ZeroDivisionError) as error:
        raise UserError(
            "numbers must be finite, such as 0.03 or 8/255. Received: "
            f"'{_shown(text)}'"
        ) from error
    if number / divisor < 0:
        raise UserError(f"numbers must not be negative. Received: '{text}'")
    return abs(number / divisor)


def _shown(text: str) -> str:
    """Returns a text for an error, a long one shortened."""
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:20]}..."
