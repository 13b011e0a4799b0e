"""Where a request or a message names its order: route parameter, query, JSON body, header, or a function of one's own.

`route:order_id, query:no, json:order.id, header:X-Order-Id`: the first place that names an order decides. Where none
does, the answer may: `response_json:id`, `response_header:Location`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl

from ordertrace_instrumentation.complaints import complain_once

Kind = Literal["route", "query", "json", "header", "response_json", "response_header"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PLACING = ("POST", "PUT")  # requests whose answers are looked at: those that make something


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a request. `name` is a parameter, a header, or the path of a JSON field (`order.id`, `0.id`).

    `path` is of answers: only those to a request of this path are looked at, of all where it is empty.
    """

    kind: Kind
    name: str
    path: str = ""

    @property
    def in_answer(self) -> bool:
        return self.kind in ("response_json", "response_header")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application answered: header names in lower case, `json` None where the body is none, or too long."""

    status: int
    headers: Mapping[str, str]
    json: Any = None


class IncomingRequest:
    """What a finder may look at, whatever the framework: `method`, `path`, `query`, `headers` (names in lower
    case), `route` (its parameters, empty until the framework knows them), `json` (the parsed body, None until
    the application has read it, and where it is none) and `answer` (None until there is one)."""

    def __init__(self, method: str, path: str, query_string: str, headers: Mapping[str, str]) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.route: Mapping[str, Any] = {}
        self.json: Any = None
        self.answer: Answer | None = None
        self._query_string = query_string

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The first value of each argument."""
        try:
            return dict(reversed(parse_qsl(self._query_string, max_num_fields=1000)))
        except ValueError:
            return {}


Finder = Callable[[IncomingRequest], object]
Source = Place | Finder


def read_place(text: str) -> Place:
    """Read `KIND:NAME`, or `response_…:/path:NAME`. Raises ValueError."""
    kind, _, name = (part.strip() for part in text.partition(":"))
    path = ""
    if kind.startswith("response_") and name.startswith("/"):
        path, _, name = (part.strip() for part in name.partition(":"))
    if kind not in KINDS or not name:
        raise ValueError(f"KIND:NAME is expected, the kind one of {', '.join(KINDS)}")
    return Place(kind, name.lower() if kind.endswith("header") else name, path.rstrip("/"))


Given = str | Finder | Iterable[str | Finder]
"""As it is configured: a comma list, a function, or a list of both."""


def read_sources(given: object, problems: list[str]) -> tuple[Source, ...]:
    """Read what `Given` says; one bad item doesn't cost the others. Raises ValueError where it is neither."""
    if callable(given):
        return (cast(Finder, given),)
    if isinstance(given, str):
        given = [part for part in given.split(",") if part.strip()]
    if not isinstance(given, Iterable):
        raise ValueError("a comma list of KIND:NAME, a function, or a list of both is expected")
    sources: list[Source] = []
    for item in cast(Iterable[object], given):
        try:
            sources.append(cast(Finder, item) if callable(item) else read_place(str(item)))
        except ValueError as error:
            problems.append(f"order id place {item!r:.80} is left out: {error}")
    return tuple(sources)


def sources_of(given: Given | None) -> tuple[Source, ...] | None:
    """The places of one application; None where the setting decides. What is wrong is complained of."""
    if given is None:
        return None
    problems: list[str] = []
    try:
        return read_sources(given, problems)
    except Exception as error:  # noqa: BLE001 - the application starts, whatever was given
        problems.append(f"order_id_from={given!r:.80}: {error}; the setting is used instead")
        return None
    finally:
        for problem in problems:
            complain_once(problem)


DEFAULT_SOURCES: tuple[Source, ...] = (
    Place("route", "order_id"),
    Place("query", "order_id"),
    Place("json", "order_id"),
    Place("header", "x-order-id"),
)


def field_at(document: Any, path: str) -> object:
    """The scalar at `order.id` or `items.0.id`; None where there is none."""
    if isinstance(document, dict) and path in document:  # a key that has a dot itself
        document, path = cast(Any, document[path]), ""
    for step in filter(None, path.split(".")):
        if isinstance(document, dict):
            document = cast(dict[str, Any], document).get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(cast(list[Any], document)):
            document = cast(list[Any], document)[int(step)]
        else:
            return None
    return None if isinstance(document, dict | list | bool) else document
