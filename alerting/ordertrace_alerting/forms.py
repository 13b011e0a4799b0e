"""What a text has to look like, and how it is said that a value is not what is needed."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Said = tuple[str, str]
"""What is wrong, and the way out."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a text has to look like: `pattern` matches all of it, and means the same to Python and to ECMA 262.

    `message` may have a place `{}` for the beginning of the text; of a secret it has none. `check` raises ValueError
    with what a pattern cannot say.
    """

    pattern: str
    message: str
    fix: str
    check: Callable[[str], object] | None = None

    def said(self, text: str) -> Said | None:
        """What is wrong with the text; None where nothing is."""
        if not re.fullmatch(self.pattern, text):
            return self.message.format(f"{text!r:.80}"), self.fix
        try:
            if self.check is not None:
                self.check(text)
        except ValueError as error:
            return str(error), self.fix
        return None


def shown(value: object) -> str:
    """A scalar as text; nothing for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def complaint(text: str, choices: Sequence[str], form: Form | None) -> Said | None:
    if choices and text not in choices:
        return f"{text!r} is not known", did_you_mean(text, choices)
    return form.said(text) if form else None


def no_text(value: object) -> Said:
    return f"must be text, this is {kind_of(value)}", "quote it"


def kind_of(value: object) -> str:
    names: dict[type[object], str] = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "nothing",
    }
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "known are: " + ", ".join(dict.fromkeys(known))
