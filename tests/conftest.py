"""What holds for all tests."""

import importlib.util
import os
import secrets
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


def _module(path: Path) -> ModuleType:
    """A module of the tests; they are no package, and not on the path."""
    spec = importlib.util.spec_from_file_location(f"ordertrace_tests_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_servers = _module(Path(__file__).parent / "elasticsearch" / "server.py")
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not _IS_WORKER:
    # What the workers of this run share is named by it; they inherit it.
    os.environ["ORDERTRACE_TEST_RUN"] = f"{os.getpid()}-{secrets.token_hex(8)}"

if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):
    # A suite that a script started in the background ignores Ctrl-C, and so would every process that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


SHARED = {
    "test_kafka_messages.py": "kafka",
    "test_message_matrix.py::test_an_order_is_followed_through_kafka": "kafka",
    "test_rabbitmq_messages.py": "rabbitmq",
    "test_message_matrix.py": "rabbitmq",
}
"""Tests of several files that need the same broker, by how their names begin behind the folder's."""


class Together(LoadScopeScheduling):
    """Hands pytest-xdist's workers one test at a time, but those together that share what is dear to make: a broker, or
    the fixtures of a module. (The mark `xdist_group` does nothing under pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        path, _, _ = nodeid.partition("::")
        name = nodeid[path.rfind("/") + 1 :]
        shared = next((broker for begins, broker in SHARED.items() if name.startswith(begins)), "")
        return shared or (path if _makes_module_fixtures(path) else nodeid)


@cache
def _makes_module_fixtures(path: str) -> bool:
    file = Path(__file__).parents[1] / path
    texts = [each.read_text("utf-8") for each in (file, file.with_name("conftest.py")) if each.is_file()]
    return any('scope="module"' in text for text in texts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in `browser/` needs a browser, whether it says so or not."""
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker("browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Where CI says so, a browser test that cannot run has failed: a missing Chromium must not look like green."""
    report = yield
    if report.skipped and item.get_closest_marker("browser") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"in CI a browser test is never skipped: {report.longrepr[-1]}"
    return report


def pytest_unconfigure() -> None:
    """The first process of a run is the last one out, even after Ctrl-C and when a worker crashed."""
    if not _IS_WORKER:
        _servers.SharedServer(os.environ["ORDERTRACE_TEST_RUN"]).remove()


def _require_elasticsearch() -> None:
    """Skip where no server can be had; in CI that is a failure: a missing server must not look like green."""
    if lack := _servers.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"in CI a test of Elasticsearch is never skipped: {lack}", pytrace=False)
        pytest.skip(lack)


@pytest.fixture(scope="session")
def elasticsearch_url() -> str:
    """A real Elasticsearch, the same one for all workers: use names of your own in it, and remove them."""
    if url := os.environ.get("ORDERTRACE_TEST_ES_URL"):
        return url
    _require_elasticsearch()
    return _servers.SharedServer(os.environ["ORDERTRACE_TEST_RUN"]).url()


@pytest.fixture
def own_elasticsearch() -> Iterator[Callable[[], Any]]:
    """What starts an Elasticsearch for this test alone, to be killed and restarted: an `ElasticsearchServer`."""
    _require_elasticsearch()
    started: list[Any] = []

    def start() -> Any:
        server = _servers.ElasticsearchServer()
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.remove()
