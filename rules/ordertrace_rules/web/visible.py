"""Text from outside, made safe to look at: what a reader could not see is shown as a sign of its own."""

import unicodedata

from markupsafe import Markup


def visible(value: object) -> object:
    """The value as a template prints it; escaping comes after this and is not its business.

    Control characters become their pictures (␀, ␊, ␛); characters that only steer the display (overrides of
    the writing direction, zero-width ones), line separators and lone surrogates become ⟨U+202E⟩.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(_sign(c) for c in value)


def _sign(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if unicodedata.category(character) == "Zs":  # wide and narrow spaces
        return " "
    return f"\u27e8U+{code:04X}\u27e9"
