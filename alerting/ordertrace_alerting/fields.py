"""Reads a plain mapping field by field and notes every mistake with its path, instead of stopping at the first."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar, cast

from ordertrace_alerting.durations import parse_duration
from ordertrace_alerting.errors import ConfigProblem, Path

T = TypeVar("T")


class Fields:
    """The fields of one object in the configuration. What is wrong reads as its default, and is noted."""

    def __init__(self, data: object, path: Path, problems: list[ConfigProblem]) -> None:
        self.path = path
        self.problems = problems
        self._is_mapping = True
        self._asked: list[str] = []
        self._data: Mapping[object, object] = {}
        if isinstance(data, Mapping):
            self._data = cast(Mapping[object, object], data)
        elif data is not None:
            self._is_mapping = False
            self.problem(
                "", f"must be a mapping, this is {_kind(data)}", "write `name: value` lines below it"
            )

    def problem(self, name: str, message: str, fix: str = "", *, place: int | None = None) -> None:
        """Note a mistake in the field `name`, or in the entry `place` of its list; "" is the object itself."""
        path = (*self.path, name) if name else self.path
        self.problems.append(ConfigProblem(path if place is None else (*path, place), message, fix))

    def problems_at(self, name: str) -> bool:
        """Whether something was noted of the field `name` or below it."""
        path = (*self.path, name)
        return any(problem.path[: len(path)] == path for problem in self.problems)

    def replaced(self, without: Sequence[object], data: Mapping[str, object]) -> "Fields":
        """The same object with other fields in place of those of these names; mistakes go to the same list."""
        if not self._is_mapping:
            return self
        kept = {name: value for name, value in self._data.items() if name not in without}
        return Fields({**kept, **data}, self.path, self.problems)

    def check_choices(self, name: str, values: Iterable[str], choices: Sequence[str]) -> None:
        """Note the entries of a list that are not among `choices`, where there are any."""
        for place, value in enumerate(values):
            if choices and value not in choices:
                self.problem(name, f"{value!r} is not known", _did_you_mean(value, choices), place=place)

    def has(self, name: str) -> bool:
        return self._data.get(name) is not None

    def names(self) -> list[str]:
        """The fields that are there, where any name is allowed."""
        return [str(name) for name in self._data]

    def raw(self, name: str) -> object:
        self._asked.append(name)
        return self._data.get(name)

    def text(self, name: str, default: str = "", *, choices: Sequence[str] = ()) -> str:
        value = self._typed(name, str, default, "text")
        if choices and self.has(name) and value not in choices:
            self.problem(name, f"{value!r} is not known", _did_you_mean(value, choices))
            return default
        return value

    def required_text(self, name: str, fix: str, *, choices: Sequence[str] = ()) -> str:
        if not self.has(name) or self._data.get(name) == "":
            self._asked.append(name)
            if self._is_mapping:
                self.problem(name, "is missing", fix)
            return ""
        return self.text(name, choices=choices)

    def flag(self, name: str, default: bool) -> bool:
        return self._typed(name, bool, default, "true or false")

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.problem(name, f"must be a whole number from {least}, this is {value!r:.40}")
            return default
        return value

    def duration(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """A duration in nanoseconds."""
        value = self.raw(name)
        if value is None:
            return default
        try:
            duration = parse_duration(value)
        except ValueError as error:
            self.problem(name, str(error), "write it like 30s, 5m, 4h or 1h30m")
            return default
        if duration < least or (most is not None and duration > most):
            self.problem(name, f"{value} is out of range", "see docs/alerting.md for what is allowed")
            return default
        return duration

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, list | tuple):
            self.problem(name, f"must be a list of texts, this is {_kind(value)}", f"write `{name}: [a, b]`")
            return default
        found: list[str] = []
        for place, item in enumerate(cast(Sequence[object], value)):
            if isinstance(item, str):
                found.append(item)
            else:
                self.problem(name, f"must be text, this is {_kind(item)}", "quote it", place=place)
        return tuple(found)

    def below(self, name: str) -> "Fields":
        """The fields of the object under `name`."""
        return Fields(self.raw(name), (*self.path, name), self.problems)

    def each(self, name: str, read: "Callable[[Fields], T]") -> list[T]:
        """What `read` makes of each object in the list under `name`."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.problem(name, f"must be a list, this is {_kind(value)}", "begin each entry with `- `")
            return []
        items = cast(Sequence[object], value)
        return [
            read(Fields(item, (*self.path, name, place), self.problems)) for place, item in enumerate(items)
        ]

    def finish(self) -> None:
        """Note the fields that nobody asked for."""
        for name in self._data:
            if name not in self._asked:
                self.problem(str(name), "there is no such field", _did_you_mean(str(name), self._asked))

    def _typed(self, name: str, kind: type[T], default: T, described: str) -> T:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            self.problem(name, f"must be {described}, this is {_kind(value)}")
            return default
        return value


def _kind(value: object) -> str:
    names: dict[type[object], str] = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "nothing",
    }
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "known are: " + ", ".join(dict.fromkeys(known))
