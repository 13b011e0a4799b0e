"""The table of hooked libraries: lazy, idempotent, and no trouble of one is a trouble of the service."""

import configparser
import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ordertrace_instrumentation import integrations
from ordertrace_instrumentation.integrations import (
    DISABLED,
    DISABLED_BY_OTEL,
    INTEGRATIONS,
    Integration,
    instrument_all,
    instrument_one,
    outcome_of,
    survey,
    uninstrument_all,
)

PACKAGE = Path(integrations.__file__).parent
CONFIG = configparser.ConfigParser()
CONFIG.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    uninstrument_all()
    yield
    uninstrument_all()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A library that nobody has imported, with an integration of ours that writes what it did into it."""
    (tmp_path / "somelibrary.py").write_text("done = []\nbefore = 'its body ran'\n")
    ours = ModuleType("ordertrace_instrumentation.somelibrary")
    ours.instrument = lambda: sys.modules["somelibrary"].done.append(sys.modules["somelibrary"].before)  # type: ignore
    ours.uninstrument = lambda: sys.modules["somelibrary"].done.append("undone")  # type: ignore
    monkeypatch.setitem(sys.modules, ours.__name__, ours)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(INTEGRATIONS, "some", Integration("somelibrary", "somelibrary"))
    monkeypatch.delitem(sys.modules, "somelibrary", raising=False)
    return "somelibrary"


def test_a_library_is_hooked_when_it_is_imported_and_not_before(library: str) -> None:
    assert instrument_one("some").state == instrument_one("some").state == "waiting"
    assert library not in sys.modules
    module = importlib.import_module(library)
    assert module.done == ["its body ran"]
    assert outcome_of("some").state == instrument_one("some").state == "instrumented"
    assert module.done == ["its body ran"]
    del sys.modules[library]


def test_a_library_that_is_there_already_is_hooked_at_once_and_left_again(library: str) -> None:
    module = importlib.import_module(library)
    assert instrument_one("some").state == "instrumented"
    uninstrument_all()
    assert module.done == ["its body ran", "undone"]
    assert outcome_of("some").state == "off"
    del sys.modules[library]


def test_after_uninstrument_all_an_import_hooks_nothing(library: str) -> None:
    instrument_one("some")
    uninstrument_all()
    assert importlib.import_module(library).done == []
    del sys.modules[library]


def test_one_that_fails_is_reported_once_and_stops_neither_the_import_nor_the_others(
    library: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("no such hook")

    monkeypatch.setattr(sys.modules["ordertrace_instrumentation.somelibrary"], "instrument", fail)
    with caplog.at_level(logging.WARNING, "ordertrace"):
        outcomes = {o.name: o for o in instrument_all()}
        importlib.import_module(library)
        instrument_all()
    assert outcomes["logging"].state == "instrumented"
    assert (outcome_of("some").state, outcome_of("some").why) == ("failed", "RuntimeError: no such hook")
    assert len([r for r in caplog.records if "no such hook" in r.getMessage()]) == 1
    del sys.modules[library]


@pytest.mark.parametrize(
    ("variable", "value", "state"),
    [
        (DISABLED, "flask, some", "skipped"),
        (DISABLED, "*", "skipped"),
        (DISABLED, "somelibrary", "waiting"),
        (DISABLED_BY_OTEL, "ordertrace_some", "skipped"),
        (DISABLED_BY_OTEL, "*", "skipped"),
        (DISABLED_BY_OTEL, "some", "waiting"),
    ],
)
def test_the_environment_leaves_one_out(
    library: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, state: str
) -> None:
    monkeypatch.setenv(variable, value)
    outcome = instrument_one("some")
    assert outcome.state == state
    assert variable in outcome.why or state == "waiting"


def test_a_library_that_is_too_old_is_left_alone(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INTEGRATIONS, "some", Integration("somelibrary", library, "pytest >= 99.0"))
    instrument_one("some")
    assert importlib.import_module(library).done == []
    assert outcome_of("some").state == "skipped" and "older than 99.0" in outcome_of("some").why
    del sys.modules[library]


def test_the_survey_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INTEGRATIONS, "some", Integration("x", "nosuchlibrary", "no-such-library >= 1.0"))
    instrument_one("some")
    (said,) = [o for o in survey() if o.name == "some"]
    assert (said.state, said.why) == ("skipped", "no-such-library is not installed")


def test_every_module_that_can_instrument_is_in_the_table() -> None:
    modules = {
        f"{path.parent.name}.{path.stem}"
        for folder in ("web", "clients", "queues", "loggers")
        for path in (PACKAGE / folder).glob("*.py")
        if "\ndef instrument()" in path.read_text(encoding="utf-8")
    }
    assert modules == {i.module for i in INTEGRATIONS.values() if "." in i.module}


def test_the_table_and_the_extras_name_the_same_oldest_versions() -> None:
    extras = {
        line.strip()
        for name, text in [
            *CONFIG["options.extras_require"].items(),
            ("", CONFIG["options"]["install_requires"]),
        ]
        if name not in ("server", "demo", "test", "otlp")
        for line in text.splitlines()
    }
    of_its_own = {"opentelemetry"}  # the processor runs on older SDKs than the transport
    named = {i.requires for name, i in INTEGRATIONS.items() if i.requires and name not in of_its_own}
    assert named - extras == set()


def test_every_integration_has_an_entry_point_for_opentelemetry() -> None:
    lines = CONFIG["options.entry_points"]["opentelemetry_instrumentor"].strip().splitlines()
    found = {}
    for line in lines:
        name, place = (part.strip() for part in line.split("="))
        module, _, attribute = place.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute).integration
    assert found == {f"ordertrace_{name}": name for name in INTEGRATIONS}


def test_the_page_lists_every_integration_with_its_oldest_version() -> None:
    page = (Path(__file__).parents[2] / "docs" / "zero-code.md").read_text(encoding="utf-8")
    for name, integration in INTEGRATIONS.items():
        said = integration.requires.replace(">= ", "") or "the standard library"
        assert f"| `{name}` | {said} |" in page
