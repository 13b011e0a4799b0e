"""`ordertrace-instrument`: real services, started by it, with not a line of ordertrace in their code."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ordertrace_instrumentation import order_trace_id
from ordertrace_instrumentation.integrations import INTEGRATIONS
from ordertrace_instrumentation.launcher import main

SITE = os.pathsep.join(p for p in sys.path if p and not p.endswith("site-packages") and "python3" not in p)
BIN = Path(sys.executable).parent
LAUNCH = [sys.executable, "-m", "ordertrace_instrumentation.launcher"]


class Field:
    """A directory with a service in it, and what the service ships."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shipped = path / "shipped.log"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ORDERTRACE_", "OTEL_"))},
            "PYTHONPATH": SITE,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        self._running: list[subprocess.Popen[str]] = []

    def file(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def run(
        self, *command: str, options: tuple[str, ...] = (), **more: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*LAUNCH, *options, *command],
            cwd=self.path,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, *command: str, **more: str) -> "subprocess.Popen[str]":
        with (self.path / "said.log").open("w") as said:
            process = subprocess.Popen(
                [*LAUNCH, "--service", "shop", "--transport", f"file:{self.shipped}", *command],
                cwd=self.path,
                env={**self.environment, **more},
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def records(self) -> list[dict[str, Any]]:
        if not self.shipped.exists():
            return []
        return [json.loads(line) for line in self.shipped.read_text().splitlines()]

    def said(self, message: str) -> list[dict[str, Any]]:
        return [r for r in self.records() if r.get("message") == message]

    def kill(self) -> None:
        for process in self._running:
            os.killpg(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if process.stdin is not None:
                process.stdin.close()


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    place = Field(tmp_path)
    yield place
    place.stop()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answer(url: str) -> Callable[[], bytes]:
    def ask() -> bytes:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read()
        except OSError:
            return b""

    return ask


SCRIPT = """
import logging, logging.handlers, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
log = logging.getLogger("job")
log.info("order SO-17 paid")
log.debug("not at INFO")
print([type(h).__name__ for h in logging.getLogger().handlers], log.handlers, log.level)
"""
UNTOUCHED = "INFO order SO-17 paid\n['StreamHandler'] [] 0\n"


def test_a_script_is_shipped_beside_its_own_lines_which_stay_as_they_are(field: Field) -> None:
    field.file("job.py", SCRIPT)
    ran = field.run(
        "python",
        "job.py",
        options=("--service", "job", "--transport", f"file:{field.shipped}"),
        ORDERTRACE_ORDER_ID_PATTERNS=r"SO-\d+",
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == (UNTOUCHED, "", 0)
    (record,) = field.said("order SO-17 paid")
    assert (record["service.name"], record["order.id"]) == ("job", "SO-17")
    assert record["order.trace_id"] == order_trace_id("SO-17")
    assert [r["ordertrace.heartbeat.phase"] for r in field.records() if "message" not in r] == [
        "start",
        "goodbye",
    ]


def test_with_nothing_set_a_service_runs_as_it_would_without(field: Field) -> None:
    field.file("job.py", SCRIPT)
    ran = field.run("python", "job.py")
    assert (ran.stdout, ran.stderr, ran.returncode) == (UNTOUCHED, "", 0)


def test_capture_may_be_switched_off(field: Field) -> None:
    field.file("job.py", SCRIPT)
    field.run(
        "python",
        "job.py",
        options=("--service", "job", "--transport", f"file:{field.shipped}"),
        ORDERTRACE_CAPTURE_LOGGING="false",
    )
    assert field.said("order SO-17 paid") == []


def test_a_service_that_says_nothing_has_heartbeats_all_the_same(field: Field, eventually: Any) -> None:
    field.file("idle.py", "import sys\nsys.stdin.read()\n")
    field.start("python", "idle.py")
    eventually(lambda: [r for r in field.records() if r.get("ordertrace.heartbeat.phase") == "start"])


def test_python_m_gets_the_arguments_and_the_exit_code_of_the_service_come_back(field: Field) -> None:
    field.file("job.py", "import sys\nprint(sys.argv[1:])\nsys.exit(7)\n")
    ran = field.run("python", "-m", "job", "--service", "mine", "-x")
    assert (ran.stdout, ran.returncode) == ("['--service', 'mine', '-x']\n", 7)


def test_a_sitecustomize_that_was_there_runs_too(field: Field) -> None:
    field.file("theirs/sitecustomize.py", "MARK = 'theirs'\n")
    field.file(
        "job.py",
        "import sitecustomize, logging\nlogging.warning('x %s', sitecustomize.MARK)\nprint(sitecustomize.MARK)\n",
    )
    ran = field.run("python", "job.py", PYTHONPATH=os.pathsep.join((str(field.path / "theirs"), SITE)))
    assert ran.stdout == "theirs\n"


def test_a_python_without_ordertrace_says_so_in_one_line_and_runs_the_service(field: Field) -> None:
    field.file("job.py", "print('served')\n")
    base = str(Path(getattr(sys, "_base_executable", sys.executable)))
    ran = field.run(base, "job.py", PYTHONPATH="")
    if "without instrumentation" not in ran.stderr:
        pytest.skip("the Python below this environment has ordertrace itself")
    assert ran.stdout == "served\n" and len(ran.stderr.splitlines()) == 1
    assert "pip install ordertrace" in ran.stderr


FLASK_APP = """
import logging
from flask import Flask
app = Flask(__name__)
app.logger.setLevel("INFO")

@app.get("/orders/<order_id>")
def show(order_id):
    app.logger.info("shown")
    return "ok"
"""


def test_flask_run_names_the_order_of_each_request(field: Field, eventually: Any) -> None:
    field.file("shop.py", FLASK_APP)
    port = free_port()
    flask = ["flask"] if (BIN / "flask").exists() else ["python", "-m", "flask"]
    field.start(*flask, "--app", "shop", "run", "--port", str(port))
    assert eventually(answer(f"http://127.0.0.1:{port}/orders/SO-1"), 30) == b"ok"
    (record,) = eventually(lambda: field.said("shown"))
    assert (record["order.id"], record["service.name"]) == ("SO-1", "shop")


def test_each_worker_of_a_preforking_gunicorn_ships_as_an_instance_of_its_own(
    field: Field, eventually: Any
) -> None:
    field.file("shop.py", FLASK_APP.replace('return "ok"', "import os; return str(os.getpid())"))
    port = free_port()
    field.start("gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "shop:app")
    ask = answer(f"http://127.0.0.1:{port}/orders/SO-2")
    eventually(ask, 30)
    workers = set[bytes]()
    eventually(lambda: workers.add(ask()) or len(workers - {b""}) == 2, 30)
    instances = {r["service.instance.id"] for r in field.said("shown")}
    assert len(instances) == 2
    assert {r["order.id"] for r in field.said("shown")} == {"SO-2"}
    field.stop()
    goodbyes = {
        r["service.instance.id"] for r in field.records() if r.get("ordertrace.heartbeat.phase") == "goodbye"
    }
    assert instances <= goodbyes


CELERY_APP = """
import logging
from celery import Celery
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
app.conf.worker_hijack_root_logger = True
log = logging.getLogger("tasks")

@app.task
def pick(order_id):
    log.info("picked %s", order_id)
"""


def test_celerys_prefork_pool_ships_what_its_tasks_log(field: Field, eventually: Any) -> None:
    field.file("tasks.py", CELERY_APP)
    for folder in ("queue", "control"):
        (field.path / folder).mkdir()
    field.start(
        "celery", "-A", "tasks", "worker", "-l", "INFO", "-c", "1", "--without-gossip", "--without-mingle",
        ORDERTRACE_ORDER_ID_PATTERNS=r"SO-\d+",
    )  # fmt: skip
    ran = field.run("python", "-c", "import tasks; tasks.pick.delay('SO-3')")
    assert ran.returncode == 0, ran.stderr
    (record,) = eventually(lambda: field.said("picked SO-3"), 60)
    assert record["order.id"] == "SO-3"
    field.kill()  # celery takes its time to end


# --- the command itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["app.py"], 127, "ordertrace-instrument python app.py"),
        (["no-such-command-here"], 127, "PATH"),
    ],
)
def test_errors_say_what_to_do(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert says in capsys.readouterr().err


def test_a_misspelt_variable_is_told_and_the_service_starts() -> None:
    ran = subprocess.run(
        [*LAUNCH, sys.executable, "-c", "print('up')"],
        env={**os.environ, "ORDERTRACE_TRANSPRT": "stdout"},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (0, "up\n")
    assert "ORDERTRACE_TRANSPRT is no setting: did you mean ORDERTRACE_TRANSPORT?" in ran.stderr


def test_without_a_command_it_says_how_one_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "ordertrace-instrument python app.py" in capsys.readouterr().err


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for command in ("gunicorn", "celery", "flask", "python -m", "--list"):
        assert command in text


def test_the_list_names_every_integration(field: Field) -> None:
    ran = field.run("--list")
    assert [line.split()[0] for line in ran.stdout.split("\n\n")[0].splitlines()] == list(INTEGRATIONS)
