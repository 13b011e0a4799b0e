"""The pages in a real Chromium, over a real socket."""

import importlib.util
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from werkzeug.serving import make_server

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _scene_module() -> ModuleType:
    """The same morning that the other tests of the pages live in."""
    path = Path(__file__).parents[1] / "rules" / "web" / "conftest.py"
    spec = importlib.util.spec_from_file_location("web_scene", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["web_scene"] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Site:
    scene: Any
    url: str


@pytest.fixture
def site() -> Iterator[Site]:
    """The morning, served on a port of the system's choice."""
    scene = _scene_module().make_scene().morning()
    server = make_server("127.0.0.1", 0, scene.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(scene, f"http://127.0.0.1:{server.port}")
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture(scope="module")  # its event loop runs as long as it does, and asyncio bears one in a thread
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: install Debian's package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and everything that it complained about."""

    page: Any
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Open a page with `open_page(url, width=…, scheme=…)`; any complaint in its console fails the test."""
    contexts, opened = [], []

    def open_one(url: str, width: int = 1280, scheme: str = "light", **options: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        opened.append(watched)
        watched.page.on(
            "console",
            lambda m: watched.complaints.append(m.text) if m.type in ("error", "warning") else None,
        )
        watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        watched.page.goto(url)
        return watched.page

    yield open_one
    complaints = [c for watched in opened for c in watched.complaints]
    for context in contexts:
        context.close()
    assert complaints == []
