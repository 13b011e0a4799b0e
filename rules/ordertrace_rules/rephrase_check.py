"""Whether a sentence that a language model reworded still says what the original said, as far as can be told.

Every number, id, name and quantity of the original has to be there, in the same order, and no other; as many
negations; nothing that could be markup or an address. What the words between them mean cannot be checked so:
in doubt the original stands.
"""

import re
import unicodedata
from collections.abc import Collection

LONGEST_FACTOR, LONGEST_MORE = 2, 40  # times the original's length, and so many characters
_START, _END = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
_QUANTITIES = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|twenty|thirty|forty|fifty"
    "|sixty|seventy|eighty|ninety|hundreds?|thousands?|millions?|billions?|dozens?|half|double|twice|once|triple"
    "|all|every|each|most|many|few|several|some|both|majority|minority|only|first|second|last|percent"
)
_FIXED = (
    r'"[^"]*"',
    r"“[^”]*”",
    r"[A-Za-z0-9_+/:.-]*[0-9][A-Za-z0-9_+/:.,-]*",  # numbers, instants, ids
    r"[A-Za-z][A-Za-z0-9]*(?:[_./:][A-Za-z0-9]+)+",  # event names, ids of words
    r"[A-Z]{2,}",  # currencies
    rf"{_START}(?i:{_QUANTITIES}){_END}",
    r"全部|所有|大部分|大多数|多数|部分|少数|两|仅|只|每",
    r"%",
)
_NEGATION = re.compile(
    r"(?i)\b(?:no|not|never|none|nothing|nobody|without|neither|nor|cannot|unable|fails?|failed|un[a-z]{4,})\b|n't\b"
    r"|[不未没無无非]"
)
_HARMFUL = frozenset("<>[](){}`*_#@|\\~^$=")


def is_faithful(original: str, reworded: str, names: Collection[str]) -> bool:
    """Whether `reworded` may stand for `original`; `names` are those of services, and whatever else is a name."""
    if not reworded.strip() or len(reworded) > LONGEST_FACTOR * len(original) + LONGEST_MORE:
        return False
    if not reworded.isprintable() or any(c in _HARMFUL and c not in original for c in reworded):
        return False
    if "://" in reworded.replace(" ", "") or "www." in reworded.lower():
        return False
    same_facts = _facts(original, names) == _facts(reworded, names)
    same_signs = _other_numerals(original) == _other_numerals(reworded)
    return same_facts and same_signs and len(_NEGATION.findall(original)) == len(_NEGATION.findall(reworded))


def _facts(text: str, names: Collection[str]) -> list[str]:
    """What must not change, in its order."""
    named = sorted((re.escape(name) for name in names if name), key=len, reverse=True)
    of_names = [rf"(?<![A-Za-z0-9_.-])(?i:{'|'.join(named)})(?![A-Za-z0-9_-])"] if named else []
    found = re.findall("|".join((*_FIXED[:2], *of_names, *_FIXED[2:])), text)
    return [fact.rstrip(".,:-/").casefold() for fact in found]


def _other_numerals(text: str) -> list[str]:
    """Digits of other scripts, signs such as ½ and ③, Chinese numerals."""
    return [c for c in text if not c.isascii() and unicodedata.numeric(c, None) is not None]
