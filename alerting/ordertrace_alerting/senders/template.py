"""Requests that a site writes itself: a JSON or form body with places for what an incident says.

A value fills its place as data: encoded as a JSON string, as a form's value, or percent-encoded in an address.
It cannot become a field, a parameter or a path of its own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, urlencode

from ordertrace_alerting.fields import Fields
from ordertrace_alerting.forms import shown
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.answers import as_object, loaded
from ordertrace_alerting.senders.chat import compact
from ordertrace_alerting.senders.http import Answer, beginning
from ordertrace_alerting.vocabulary import Ok, Permanent, Result, Signal

_PLACE = re.compile(r"\{([a-z_]+)\}")
CONTENT_TYPES = {
    "json": "application/json; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
}
SIGNAL_PLACES = ("incident", "title", "text", "url", "status", "kind", "severity", "owner", "playbook")


Headers = tuple[tuple[str, Secret], ...]


@dataclass(frozen=True, slots=True)
class Success:
    """What a 2xx answer must say in its body to be one: the value at a path such as `data.code`."""

    field: str
    value: str

    def judge(self, answer: Answer, result: Result) -> Result:
        """`result` where the body agrees with it."""
        if not isinstance(result, Ok):
            return result
        found = at_path(loaded(answer.body), self.field)
        if found == self.value:
            return Ok(result.detail, answer.status, found)
        said = f"HTTP {answer.status} with {self.field} {found or 'missing'}, not {self.value}"
        return Permanent(f"{said}{beginning(answer.body)}", answer.status, found)


def place_values(signal: Signal, title: str, text: str) -> dict[str, str]:
    """The values of SIGNAL_PLACES."""
    labels = {name: signal.labels.get(name, "") for name in ("severity", "owner", "playbook")}
    return {
        "incident": signal.incident,
        "title": title,
        "text": text,
        "url": signal.url,
        "status": signal.status,
        "kind": signal.kind,
        **labels,
    }


def fill(template: object, values: Mapping[str, str]) -> object:
    """`template` with each `{name}` in its texts replaced, once; what is put in is not looked at again."""
    if isinstance(template, str):
        return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)
    if isinstance(template, Mapping):
        return {key: fill(value, values) for key, value in cast(Mapping[str, object], template).items()}
    if isinstance(template, list | tuple):
        return [fill(value, values) for value in cast(Sequence[object], template)]
    return template


def fill_url(template: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: quote(values.get(match[1], ""), safe=""), template)


def encode(body: object, encoding: str) -> str:
    """A filled body as it is sent, by one of CONTENT_TYPES."""
    if encoding == "form":
        return urlencode({name: str(value) for name, value in as_object(body).items()})
    return compact(body)


def at_path(document: object, path: str) -> str:
    """The text or number at a path such as `issues.0.key`; nothing where there is none."""
    value = document
    for step in path.split("."):
        if isinstance(value, list) and step.isdecimal() and step.isascii():
            entries = cast(list[object], value)
            value = entries[int(step)] if int(step) < len(entries) else None
        else:
            value = as_object(cast(object, value)).get(step)
    return shown(value)


def read_body(fields: Fields, name: str, known: Sequence[str]) -> object:
    """A mapping whose texts hold places; those that are not `known` are noted."""
    said = "must be a mapping: the fields of the body", "write `name: value` lines below it"
    body = fields.mapping(name, said)
    check_places(fields, name, body, known)
    return body


def check_places(fields: Fields, name: str, value: object, known: Sequence[str]) -> None:
    unknown = sorted({place for place in _places(value) if place not in known})
    if unknown:
        listed = ", ".join(f"{{{place}}}" for place in known)
        fields.problem(name, f"names {{{unknown[0]}}}, which is no place", f"known are: {listed}")


def read_headers(fields: Fields) -> Headers:
    """`headers`: names to values, which are secrets."""
    found: list[tuple[str, Secret]] = []
    below = fields.below("headers")
    for name in below.names():
        value = below.text(name)
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            below.problem(name, "is no header's name", "write it like Authorization")
        elif not (value.isascii() and value.isprintable()):
            below.problem(name, "holds characters that a header cannot", "use printable ASCII")
        else:
            found.append((name.lower(), Secret(value)))
    return tuple(found)


def read_success(fields: Fields) -> Success | None:
    """`success`: {field, value}."""
    if not fields.has("success"):
        return None
    below = fields.below("success")
    field = below.required_text("field", "give the path of the answer's field, such as code")
    value = below.scalar("value", "give the value that means success, such as 0")
    below.finish()
    return Success(field, value)


def _places(value: object) -> list[str]:
    found: list[str] = []
    _walk(value, lambda text: found.extend(_PLACE.findall(text)))
    return found


def _walk(value: object, visit: Callable[[str], None]) -> None:
    if isinstance(value, str):
        visit(value)
    elif isinstance(value, Mapping):
        for inner in cast(Mapping[object, object], value).values():
            _walk(inner, visit)
    elif isinstance(value, list | tuple):
        for inner in cast(Sequence[object], value):
            _walk(inner, visit)
