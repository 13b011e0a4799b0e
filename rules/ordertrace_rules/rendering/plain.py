"""Text out of other people's records, made harmless for any reader before a renderer adds its own marks."""

import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that show nothing but do something: controls, direction marks, zero widths, separators."""


def plain(text: str) -> str:
    """One line of visible characters: white space becomes a space, what is invisible is dropped."""
    kept = "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) not in _HARMFUL
    )
    return " ".join(kept.split())
