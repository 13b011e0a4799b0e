"""A real Elasticsearch for tests: from Docker where an engine answers, else from the scripts in this folder.

Run as a program (`server.py FOLDER PID`) it guards a server: when the process PID has ended, however that came
about, it ends the server and removes FOLDER.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

IMAGE = "docker.elastic.co/elasticsearch/elasticsearch:9.4.3"
HERE = Path(__file__).parent
# Not pytest's tmp_path: where the tests run as root the server runs as nobody, who cannot enter that.
STATE = Path("/var/tmp")
ATTEMPTS = 3
START_SECONDS = 90
STOP_SECONDS = 30


def has_docker() -> bool:
    """Whether a Docker engine answers; the client alone starts nothing."""
    if not shutil.which("docker"):
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def missing() -> str | None:
    """What this machine lacks for a server of its own, as a sentence; None where nothing is missing."""
    if has_docker():
        return None
    lacks: list[str] = []
    if subprocess.run([HERE / "java.sh"], capture_output=True).returncode:
        lacks.append("a JDK >= 21 (ES_JAVA_HOME)")
    installed = Path(os.environ.get("ES_INSTALL_DIR", "/var/tmp/es-9.4.3")).is_dir()
    if not installed and not shutil.which("mvn"):
        lacks.append("mvn, which fetches the server")
    if not lacks:
        return None
    return (
        "no Elasticsearch: ORDERTRACE_TEST_ES_URL is not set, no Docker engine answers, "
        f"and to run one without it there is missing {' and '.join(lacks)}"
    )


class ElasticsearchServer:
    """One server with its data in a folder; started again it has the same data and the same port.

    It ends with the process `owner` (default: this one) at the latest.
    """

    def __init__(self, folder: Path | None = None, owner: int | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="ordertrace-es-", dir=STATE))
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.owner = owner or os.getpid()
        self.port = 0
        self._in_docker = has_docker()

    @property
    def url(self) -> str:
        """Where it answers, once it was started."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> str:
        """Start it, wait until it answers, and return its URL."""
        if self.port:
            self._start()
            return self.url
        _guard(self.folder, self.owner)
        for attempt in range(1, ATTEMPTS + 1):
            self.port = _free_port()
            try:
                self._start()
                return self.url
            except BaseException as error:
                self.kill()
                # Between our look and the start somebody else may have taken the port.
                if attempt == ATTEMPTS or not isinstance(error, RuntimeError) or not _is_taken(self.port):
                    self.remove()
                    raise
        raise AssertionError("unreachable")

    def kill(self) -> None:
        """End it as a crash does: SIGKILL, nothing flushed, nothing said."""
        _end(self.folder, signal.SIGKILL)

    def stop(self) -> None:
        """End it in order; its data stay."""
        _end(self.folder, signal.SIGTERM)

    def restart(self) -> str:
        """Stop it in order, if it runs, and start it again on the same data and port."""
        self.stop()
        return self.start()

    def remove(self) -> None:
        """End it for good, with its data."""
        _remove(self.folder)

    def _start(self) -> None:
        if self._in_docker:
            name = self.folder.name
            known = (self.folder / "container").exists()
            command = ["docker", "start", name] if known else _docker_run(name, self.port)
            (self.folder / "container").write_text(name)
        else:
            command = [str(HERE / "start.sh"), str(self.port), str(self.folder)]
        # In a session of its own: a Ctrl-C is ours to deal with, below.
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                _, said = process.communicate()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                raise
        if process.returncode:
            if self._in_docker:
                subprocess.run(["docker", "rm", "-f", self.folder.name], capture_output=True)
                (self.folder / "container").unlink()
            raise RuntimeError(f"Elasticsearch did not start: {said}")
        _await_answer(self.url)


class SharedServer:
    """The one server of a test run: whichever worker comes first starts it, the run's first process ends it.

    `run` names the run, and begins with the id of that process and a dash.
    """

    def __init__(self, run: str) -> None:
        self._owner = int(run.partition("-")[0])
        self._folder = STATE / f"ordertrace-es-{run}"

    def url(self) -> str:
        """Its URL; started if it was not."""
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._folder / "url"
            if not known.exists():
                url = ElasticsearchServer(self._folder, self._owner).start()
                known.write_text(url)
            return known.read_text()

    def remove(self) -> None:
        """End it, if anybody had started it."""
        if self._folder.exists():
            _remove(self._folder)


def _docker_run(name: str, port: int) -> list[str]:
    return [
        *("docker", "run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:9200"),
        *("--env", "discovery.type=single-node", "--env", "xpack.security.enabled=false"),
        *("--env", "ES_JAVA_OPTS=-Xms512m -Xmx512m"),
        *("--env", "cluster.routing.allocation.disk.threshold_enabled=false", IMAGE),
    ]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _await_answer(url: str) -> None:
    """Wait until it answers, and has brought back what it had: before that a read of a document is a 503."""
    health = f"{url}/_cluster/health?wait_for_status=yellow&timeout=10s"
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=15):
            return
        time.sleep(0.2)
    raise RuntimeError(f"Elasticsearch started, but did not answer on {url} within {START_SECONDS} s")


def _processes(folder: Path) -> list[int]:
    """The server of a folder and what is about to start it, by their command lines: a pid file may be late or old."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes() + b"/"
            ours = f"{folder}/".encode() in line.replace(b"\0", b"/")
            if ours and (b"org.elasticsearch" in line or b"start.sh" in line):
                found.append(int(entry.name))
    return found


def _end(folder: Path, how: signal.Signals) -> None:
    """Send the signal and wait for the end; SIGKILL for one that does not end."""
    if (folder / "container").exists():
        verb = ["kill"] if how == signal.SIGKILL else ["stop", "--time", str(STOP_SECONDS)]
        subprocess.run(["docker", *verb, folder.name], capture_output=True)
        return
    for wanted in (how, signal.SIGKILL):
        for pid in _processes(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, wanted)
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end:
            if not _processes(folder):
                return
            time.sleep(0.05)
    raise RuntimeError(f"Elasticsearch does not end: {_processes(folder)}")


def _remove(folder: Path) -> None:
    if (folder / "container").exists():
        subprocess.run(["docker", "rm", "--force", "--volumes", folder.name], capture_output=True)
    else:
        _end(folder, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _guard(folder: Path, owner: int) -> None:
    """Start the guard, in a session of its own so that no Ctrl-C and no hang-up reaches it."""
    subprocess.Popen(
        [sys.executable, __file__, str(folder), str(owner)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    guarded, owner = Path(sys.argv[1]), int(sys.argv[2])
    while guarded.exists() and _is_alive(owner):
        time.sleep(0.2)
    while guarded.exists():
        _remove(guarded)
