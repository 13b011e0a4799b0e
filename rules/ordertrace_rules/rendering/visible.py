"""Text from outside, made safe to look at: what a reader could not see is shown as a sign of its own."""

import unicodedata

from markupsafe import Markup


def visible(value: object) -> object:
    """The value as a template prints it; escaping comes after this and is not its business.

    A line break becomes ↵, a tab a space; other control characters, those that only steer the display (overrides
    of the writing direction, zero-width ones), line separators and lone surrogates become ‹U+202E›. The pictures
    of control characters (U+2400 ff.) would say it shorter, but common fonts lack them.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(_sign(c) for c in value)


def _sign(character: str) -> str:
    if character.isprintable():
        return character
    if character == "\n":
        return "\u21b5"
    if character == "\t" or unicodedata.category(character) == "Zs":  # wide and narrow spaces
        return " "
    return f"\u2039U+{ord(character):04X}\u203a"
