"""Reads a plain mapping field by field and notes every mistake with its path, instead of stopping at the first.

What a reader asks for is the shape of what it reads: `outline` runs the same readers to write it down as JSON Schema.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

from ordertrace_alerting.durations import parse_duration
from ordertrace_alerting.errors import ConfigProblem, Path
from ordertrace_alerting.forms import Form, Said, complaint, did_you_mean, kind_of, no_text, shown

T = TypeVar("T")
D = TypeVar("D")


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
                "", f"must be a mapping, this is {kind_of(data)}", "write `name: value` lines below it"
            )

    def problem(self, name: str, message: str, fix: str = "", *, place: int | None = None) -> None:
        """Note a mistake in the field `name`, or in the entry `place` of its list; "" is the object itself."""
        path = (*self.path, name) if name else self.path
        self.problems.append(ConfigProblem(path if place is None else (*path, place), message, fix))

    def problems_at(self, name: str) -> bool:
        """Whether something was noted of the field `name` or below it."""
        path = (*self.path, name)
        return any(problem.path[: len(path)] == path for problem in self.problems)

    def has(self, name: str) -> bool:
        return self._data.get(name) is not None

    def names(self) -> list[str]:
        """The fields that are there, where any name is allowed."""
        return [str(name) for name in self._data]

    def raw(self, name: str) -> object:
        self._asked.append(name)
        return self._data.get(name)

    def text(
        self, name: str, default: str = "", *, choices: Sequence[str] = (), form: Form | None = None
    ) -> str:
        value = self._typed(name, str, None, "text")
        if value is None:
            return default
        said = complaint(value, choices, form)
        if said:
            self.problem(name, *said)
        return default if said else value

    def required_text(
        self, name: str, fix: str, *, choices: Sequence[str] = (), form: Form | None = None
    ) -> str:
        if not self.has(name) or self._data.get(name) == "":
            self._asked.append(name)
            if self._is_mapping:
                self.problem(name, "is missing", fix)
            return ""
        return self.text(name, choices=choices, form=form)

    def scalar(self, name: str, fix: str) -> str:
        """A text, number or truth as text; it has to be there."""
        text = shown(self.raw(name))
        if not text:
            self.problem(name, "is missing", fix)
        return text

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

    def texts(
        self,
        name: str,
        default: tuple[str, ...] = (),
        *,
        choices: Sequence[str] = (),
        form: Form | None = None,
        empty: Said | None = None,
        spaced: bool = False,
    ) -> tuple[str, ...]:
        """A list of texts; where it is `spaced`, one text with spaces will do.

        `empty` says what is wrong with one that holds none.
        """
        value = self.raw(name)
        if value is None:
            return default
        in_list = not (spaced and isinstance(value, str))
        items = value if in_list else str(value).split()
        if not isinstance(items, list | tuple):
            self.problem(
                name, f"must be a list of texts, this is {kind_of(value)}", f"write `{name}: [a, b]`"
            )
            return default
        found: list[str] = []
        for place, item in enumerate(cast(Sequence[object], items)):
            said = complaint(item, choices, form) if isinstance(item, str) else no_text(item)
            if said:
                self.problem(name, *said, place=place if in_list else None)
            else:
                found.append(str(item))
        if empty and not items:
            self.problem(name, *empty)
        return tuple(found)

    def required_texts(self, name: str, said: Said, *, form: Form | None = None) -> tuple[str, ...]:
        """A list that has to be there, with something in it; `said` is what is wrong where it is not."""
        if not self.has(name):
            self._asked.append(name)
            self.problem(name, *said)
            return ()
        return self.texts(name, form=form, empty=said)

    def mapping(self, name: str, said: Said) -> Mapping[str, object]:
        """A mapping of whatever the site writes; `said` is what is wrong where it is something else."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problem(name, *said)
            return {}
        return cast(Mapping[str, object], value)

    def required(self, name: str, fix: str) -> None:
        """Note that the field is missing, where it is."""
        if not self.has(name):
            self.problem(name, "is missing", fix)

    def either(self, name: str, other: str, fix: str) -> None:
        """Note that the field is missing, where the `other` is too."""
        if not self.has(other):
            self.required(name, fix)

    def refuse(self, name: str, message: str, fix: str) -> None:
        """Note that the field may not stand here, where it does."""
        if self.has(name):
            self.raw(name)
            self.problem(name, message, fix)

    def exclusive(self, name: str, other: str, said: Said) -> None:
        """Of two fields at most one may be there."""
        if self.has(name) and self.has(other):
            self.problem(name, *said)

    def together(self, name: str, other: str, said: Said, *, at: str = "") -> None:
        """Where the field is there the `other` has to be too; it is noted of `name`, or of `at`."""
        if self.has(name) and not self.has(other):
            self.problem(at or name, *said)

    def variant(self, name: str, readers: "Mapping[str, Callable[[Fields], T]]") -> tuple[str, T]:
        """What kind of object it is, under `name`, and what the reader of that kind makes of it.

        The kind is empty where it is not known; then nothing can be said of the fields that belong to it.
        """
        kind = self.required_text(name, "one of: " + ", ".join(readers), choices=tuple(readers))
        if kind:
            return kind, readers[kind](self)
        nothing = Fields(None, (), [])
        return "", next(iter(readers.values()))(nothing)

    def from_elsewhere(
        self, names: Sequence[str], readers: "Mapping[str, Callable[[Fields, str, str], str]]"
    ) -> "Fields":
        """The fields with each of `names` that stands elsewhere read from there, by the suffix that its name has.

        A reader gets the fields, the name with its suffix and what stands there, such as the name of a file. It gives
        the value; nothing where that is a problem.
        """
        named = [(name, suffix) for name in names for suffix in readers if name + suffix in self._data]
        found: dict[str, object] = {}
        for name, suffix in named:
            place = self.text(name + suffix)
            if self.has(name) or name in found:
                said = f"`{name}` is given twice", "write the secret here or say where it is, not both"
                self.problem(name + suffix, *said)
            elif place and (content := readers[suffix](self, name + suffix, place)):
                found[name] = content
        return self._replaced([name + suffix for name, suffix in named], found)

    def below(self, name: str) -> "Fields":
        """The fields of the object under `name`."""
        return Fields(self.raw(name), (*self.path, name), self.problems)

    def each(self, name: str, read: "Callable[[Fields], T]", *, empty: Said | None = None) -> list[T]:
        """What `read` makes of each object in the list under `name`; `empty` says what is wrong with none."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.problem(name, f"must be a list, this is {kind_of(value)}", "begin each entry with `- `")
            return []
        items = cast(Sequence[object], value)
        if empty and not items:
            self.problem(name, *empty)
        return [
            read(Fields(item, (*self.path, name, place), self.problems)) for place, item in enumerate(items)
        ]

    def finish(self) -> None:
        """Note the fields that nobody asked for."""
        for name in self._data:
            if name not in self._asked:
                self.problem(str(name), "there is no such field", did_you_mean(str(name), self._asked))

    def _replaced(self, without: Sequence[str], data: Mapping[str, object]) -> "Fields":
        """The same object with other fields in place of those of these names; mistakes go to the same list."""
        if not self._is_mapping:
            return self
        kept = {name: value for name, value in self._data.items() if name not in without}
        return Fields({**kept, **data}, self.path, self.problems)

    def _typed(self, name: str, kind: type[T], default: D, described: str) -> T | D:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            self.problem(name, f"must be {described}, this is {kind_of(value)}")
            return default
        return value
