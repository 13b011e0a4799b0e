"""The examples of docs/web-frameworks.md are services: each runs as a program of its own and writes its record."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "web-frameworks.md"
_SECTION = PAGE.read_text("utf-8").partition("## Five minutes")[2].partition("\n## ")[0]
EXAMPLES = re.findall(r"^\*\*([^*]+)\*\*.*?^```python\n(.*?)^```", _SECTION, re.M | re.S)

# Calls the example's `app` as a server would, by either protocol.
CALL_WSGI = """
from wsgiref.util import setup_testing_defaults
environ = {"PATH_INFO": "/orders/SO-1", "REQUEST_METHOD": "GET"}
setup_testing_defaults(environ)
answer = app(environ, lambda status, headers, exc_info=None: print(status))
list(answer)
getattr(answer, "close", lambda: None)()
"""
CALL_ASGI = """
import asyncio
import httpx
async def call():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client:
        print((await client.get("/orders/SO-1")).status_code, "OK")
asyncio.run(call())
"""


def test_there_is_one_for_each_framework() -> None:
    assert [name for name, _ in EXAMPLES] == ["Flask", "FastAPI", "Django", "Any ASGI application"]


@pytest.mark.parametrize(("name", "code"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_example_writes_a_record_of_the_order(name: str, code: str, tmp_path: Path) -> None:
    call = CALL_WSGI if name in ("Flask", "Django") else CALL_ASGI
    path = tmp_path / "records.log"
    run = subprocess.run(
        [sys.executable, "-c", code + call],
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(("ORDERTRACE_", "OTEL_"))},
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ORDERTRACE_TRANSPORT": f"file:{path}",
        },
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "200 OK\n", "")
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [r["order.id"] for r in records if r["event.action"] == "stock.checked"] == ["SO-1"]
