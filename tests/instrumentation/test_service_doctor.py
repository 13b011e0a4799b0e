"""`ordertrace doctor --service app:app`: what is instrumented in a service, what is not and why."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ordertrace_instrumentation import order_trace_id

SITE = os.pathsep.join(p for p in sys.path if p and "python3" not in p)
APP = """
import logging, sys
import flask, requests
logging.basicConfig(stream=sys.stdout, level="INFO", format="%(levelname)s [%(order_id)s] %(message)s")
app = flask.Flask(__name__)
def create_app():
    logging.info("made")
"""


BY_COMMAND = ("ordertrace_rules", "doctor", "--service")
BY_ITSELF = ("ordertrace_instrumentation.doctor",)  # what the command starts in its turn


def doctor(
    place: Path, *arguments: str, way: tuple[str, ...] = BY_COMMAND, **more: str
) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORDERTRACE_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-m", *way, *arguments],
        cwd=place,
        env={**environment, "PYTHONPATH": SITE, **more},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def test_it_tells_of_each_library_and_shows_one_record(place: Path) -> None:
    shipped = place / "shipped.log"
    ran = doctor(
        place,
        "app:app",
        "--format",
        "json",
        ORDERTRACE_SERVICE="shop",
        ORDERTRACE_TRANSPORT=f"file:{shipped}",
        ORDERTRACE_DISABLED_INSTRUMENTATIONS="requests",
    )
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    states = {one["name"]: (one["state"], one["why"]) for one in report["integrations"]}
    assert states["flask"][0] == "instrumented"
    assert states["requests"] == ("skipped", "ORDERTRACE_DISABLED_INSTRUMENTATIONS names it")
    assert states["loguru"] == ("waiting", "loguru is not imported yet")
    assert report["settings"]["transport"] == [f"file {shipped}"]
    assert report["record"]["service.name"] == "shop"
    assert report["record"]["order.trace_id"] == order_trace_id(report["record"]["order.id"])
    assert report["line"] == "INFO [SO-DOCTOR-1] a record of an order"
    assert not shipped.exists(), "it ships nothing"


def test_for_people_it_says_what_is_missing_and_what_to_do(place: Path) -> None:
    ran = doctor(place, "app:create_app()")
    assert ran.returncode == 0, ran.stderr
    assert "INFO [] made" in ran.stderr, "what the service says is not part of the report"
    for words in ("ok    flask", "ORDERTRACE_TRANSPORT", "ORDERTRACE_SERVICE", '"order.id":"SO-DOCTOR-1"'):
        assert words in ran.stdout


@pytest.mark.parametrize(
    ("service", "says"),
    [
        ("nothere:app", "there is no module 'nothere' here"),
        ("app:nothere", "app has no 'nothere'"),
        ("./app.py", "such as app:app"),
        ("broken:app", "ValueError: no configuration"),
        ("needs:app", "run it in the service's own environment"),
    ],
)
def test_a_service_that_cannot_be_imported_is_said_with_the_way_out(
    place: Path, service: str, says: str
) -> None:
    (place / "broken.py").write_text("raise ValueError('no configuration')")
    (place / "needs.py").write_text("import nosuchlibrary")
    ran = doctor(place, service, way=BY_COMMAND if service == "nothere:app" else BY_ITSELF)
    assert ran.returncode == 1
    assert says in ran.stdout
    assert "Traceback" not in ran.stderr


def test_it_is_not_mixed_with_the_probe(place: Path) -> None:
    ran = doctor(place, "app:app", "--probe")
    assert ran.returncode == 2 and "leave out --probe" in ran.stderr
