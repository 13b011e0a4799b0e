"""The pages' sentences: each in each language with the same places, and each in use."""

import re
import string
from pathlib import Path

import ordertrace_rules.web
from ordertrace_rules.times import DAY, HOUR, MINUTE, NS, parse_instant
from ordertrace_rules.vocabulary import LANGUAGES
from ordertrace_rules.web.language import duration_text, sentences, tick_text, time_text

WEB = Path(ordertrace_rules.web.__file__).parent
SOURCES = "\n".join(
    p.read_text(encoding="utf-8") for p in [*WEB.glob("*.py"), *(WEB / "templates").iterdir()]
)


def places(sentence: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_every_sentence_is_in_every_language_with_the_same_places() -> None:
    for key, text in sentences().items():
        assert set(text) == set(LANGUAGES), key
        assert all(text.values()), key
        assert len({frozenset(places(sentence)) for sentence in text.values()}) == 1, key


def test_every_sentence_that_is_asked_for_is_there() -> None:
    asked = set(re.findall(r'say\((?:language, )?["\']([\w. ]+)["\'](?! ~)', SOURCES))
    assert asked - set(sentences()) == set()
    assert len(asked) > 50


def test_no_sentence_is_left_over() -> None:
    built = (
        "state.",
        "severity.",
        "certainty.",
        "gantt.",
        "search.",
        "ref.",
        "feedback.",
        "actions.",
        "silences.of_",
    )  # keys that templates put together
    left = [
        k
        for k in sentences()
        if f'"{k}"' not in SOURCES and f"'{k}'" not in SOURCES and not k.startswith(built)
    ]
    assert left == []


def test_times_are_as_short_as_the_day_allows() -> None:
    now = parse_instant("2026-11-20T10:00:00Z")
    assert time_text(parse_instant("2026-11-20T09:05:06Z"), now) == "09:05:06"
    assert time_text(parse_instant("2026-11-19T09:05:06Z"), now) == "11-19 09:05"
    assert time_text(parse_instant("2025-11-20T09:05:06Z"), now) == "2025-11-20 09:05"
    assert tick_text(parse_instant("2026-11-20T09:05:00Z"), now) == "09:05"
    assert tick_text(parse_instant("2026-11-20T09:05:01Z"), now) == "09:05:01"


def test_durations_speak_both_languages() -> None:
    assert duration_text(2 * HOUR + 5 * MINUTE, "en") == "2h 5m"
    assert duration_text(2 * HOUR + 5 * MINUTE, "zh") == "2 小时 5 分"
    assert duration_text(3 * DAY, "zh") == "3 天"
    assert duration_text(NS // 2, "zh") == "0 秒"
