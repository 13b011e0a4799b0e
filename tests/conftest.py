"""What holds for all tests."""

import os
import signal
import threading
from collections.abc import Generator
from typing import Any

import pytest

if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):
    # A suite that a script started in the background ignores Ctrl-C, and so would every process that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
