"""What the JSON answers of chats mean: their errors come with status 200 and a number in the body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from ordertrace_alerting.senders.characters import one_line
from ordertrace_alerting.senders.http import Answer, beginning, classify
from ordertrace_alerting.vocabulary import Ok, Permanent, Result, RetryAfter


@dataclass(frozen=True, slots=True)
class Codes:
    """A provider's numbers. Zero is success; what is neither here nor zero is refused for good."""

    code: tuple[str, ...]  # names of the field that holds the number, the first that is there counts
    text: tuple[str, ...]  # and of the one that says it in words
    retry: Mapping[int, float | None] = field(default_factory=dict[int, float | None])  # seconds to wait
    hints: Mapping[int, str] = field(default_factory=dict[int, str])  # the way out, for a person

    def judge(self, answer: Answer, now: int) -> Result:
        """The number in the body decides; a success without it is none; `now` in nanoseconds."""
        by_status = classify(answer, now)
        document = json_object(answer.body)
        code = self._number(document)
        if code is None:
            if not isinstance(by_status, Ok):
                return by_status
            said = f"HTTP {answer.status} without {self.code[0]}: not this provider's answer"
            return RetryAfter(None, f"{said}; is the address right?{beginning(answer.body)}", answer.status)
        text = next((one_line(str(document[n])) for n in self.text if document.get(n)), "")
        hint = f" ({self.hints[code]})" if code in self.hints else ""
        detail = f"{self.code[0]} {code}{f': {text[:200]}' if text else ''}{hint}"
        if code == 0:
            return (
                replace(by_status, provider_code="0")
                if not isinstance(by_status, Ok)
                else Ok(detail, answer.status, "0")
            )
        if code in self.retry or isinstance(by_status, RetryAfter):
            asked = by_status.seconds if isinstance(by_status, RetryAfter) else None
            seconds = asked if asked is not None else self.retry.get(code)
            return RetryAfter(seconds, detail, answer.status, str(code))
        return Permanent(detail, answer.status, str(code))

    def _number(self, document: Mapping[str, object]) -> int | None:
        found = next((document[name] for name in self.code if name in document), None)
        if isinstance(found, str) and found.lstrip("-").isdecimal() and found.isascii():
            return int(found[:20])
        return found if isinstance(found, int) and not isinstance(found, bool) else None


def json_object(body: bytes) -> Mapping[str, object]:
    """The JSON object in `body`; an empty one where there is none."""
    return as_object(loaded(body))


def as_object(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, dict) else {}


def loaded(body: bytes) -> object:
    """The JSON in `body`, whatever it is; None where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
