"""The catalogue of fixed sentences: `sentences.yaml`, by key and language, with {placeholders}."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import cast

import yaml

from ordertrace_rules import locales
from ordertrace_rules.vocabulary import LANGUAGES, Text, in_language
from ordertrace_rules.yamlfile import FAST_LOADER

FILE = "sentences.yaml"


@cache
def sentences() -> Mapping[str, Text]:
    """Every sentence by its key."""
    text = resources.files(locales).joinpath(FILE).read_text(encoding="utf-8")
    return cast(dict[str, dict[str, str]], yaml.load(text, FAST_LOADER))


def say(key: str, **values: object) -> Text:
    """The sentence `key` in each language with `values` filled in; a value that is a Text follows the language.

    Values are put in as they are: who renders escapes the whole. Raises KeyError for an unknown key or a
    missing value, which a test rules out for the keys in use.
    """
    sentence = sentences()[key]
    return {language: sentence[language].format(**_values(values, language)) for language in LANGUAGES}


def number(value: float) -> str:
    """A number for a person: 1,234 or 1,234.50."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _values(values: Mapping[str, object], language: str) -> dict[str, object]:
    filled: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            filled[name] = in_language(cast(Text, value), language)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            filled[name] = number(value)
        else:
            filled[name] = value
    return filled
