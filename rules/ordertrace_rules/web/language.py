"""The language of a page, and its fixed sentences."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import cast

import yaml
from flask import Flask, Request, Response, g, request

from ordertrace_rules.times import MINUTE, NS, format_duration, format_instant
from ordertrace_rules.vocabulary import LANGUAGES, Text
from ordertrace_rules.yamlfile import FAST_LOADER

COOKIE = "ordertrace_language"
YEAR = 365 * 86_400  # seconds that a choice is remembered
FILE = "sentences.yaml"
_UNITS_ZH = {"d": "天", "h": "小时", "m": "分", "s": "秒", "ms": "毫秒"}


@cache
def sentences() -> Mapping[str, Text]:
    """Every sentence of the pages by its key."""
    text = resources.files("ordertrace_rules.web").joinpath(FILE).read_text(encoding="utf-8")
    return cast(dict[str, dict[str, str]], yaml.load(text, FAST_LOADER))


def say(language: str, key: str, **values: object) -> str:
    """The sentence `key` with `values` filled in. What renders it escapes it. Raises KeyError."""
    return sentences()[key][language].format(**values)


def follow_language(app: Flask, default: str) -> None:
    """Choose the language of every request as `g.language`, and remember what was chosen in the query."""

    @app.before_request
    def choose() -> None:
        g.language = chosen_language(request, default)

    @app.after_request
    def remember(response: Response) -> Response:
        if request.args.get("lang") in LANGUAGES:
            response.set_cookie(COOKIE, g.language, max_age=YEAR, samesite="Lax", httponly=True)
        return response


def chosen_language(request: Request, default: str) -> str:
    """The `lang` of the query, else of the cookie, else what the browser prefers, else the site's."""
    for given in (request.args.get("lang"), request.cookies.get(COOKIE)):
        if given in LANGUAGES:
            return given
    return request.accept_languages.best_match(LANGUAGES) or default


def duration_text(nanoseconds: int, language: str) -> str:
    """`2h 5m`, `2 小时 5 分`; what is less than a second counts as `0s`, and so does less than none: clocks differ."""
    text = format_duration(nanoseconds) if nanoseconds >= NS else "0s"
    if language != "zh":
        return text
    parts: list[str] = []
    for part in text.split():
        digits = part.rstrip("dhms")
        parts.append(f"{digits} {_UNITS_ZH[part[len(digits) :]]}")
    return " ".join(parts)


def time_text(instant: int, now: int) -> str:
    """`10:42:07` on the day of `now`, else `11-22 10:42`, or with its year; always in UTC."""
    text, today = format_instant(instant), format_instant(now)
    if text[:10] == today[:10]:
        return text[11:19]
    return f"{text[5:10]} {text[11:16]}" if text[:4] == today[:4] else f"{text[:10]} {text[11:16]}"


def tick_text(instant: int, now: int) -> str:
    """An instant on an axis: as `time_text`, without seconds where they are zero."""
    text = time_text(instant, now)
    return text[:5] if len(text) == 8 and instant % MINUTE == 0 else text
