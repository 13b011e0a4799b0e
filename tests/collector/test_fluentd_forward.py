"""Our sender and a real Fluentd that asks for TLS, a shared key and a user."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from ordertrace_instrumentation.transports.access import Access
from ordertrace_instrumentation.transports.courier import EntryEncoder
from ordertrace_instrumentation.transports.forward import ForwardCarrier

KEY = "s3cret"
CONFIG = """
<source>
  @type forward
  bind 127.0.0.1
  port {port}
  <transport tls>
    cert_path {folder}/server.pem
    private_key_path {folder}/server.key
  </transport>
  <security>
    self_hostname fluentd.example
    shared_key {key}
    user_auth true
    <user>
      username shop
      password word
    </user>
  </security>
</source>
<match **>
  @type stdout
</match>
"""


@pytest.fixture
def fluentd(fluentd_command: str, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a Fluentd that asks for everything, and its log, which holds the records."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    papers = authority.issue_cert("localhost", "fluentd.example")
    papers.private_key_pem.write_to_path(tmp_path / "server.key")
    (tmp_path / "server.pem").write_bytes(b"".join(pem.bytes() for pem in papers.cert_chain_pems))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "fluent.conf"
    config.write_text(CONFIG.format(port=port, folder=tmp_path, key=KEY))
    log = tmp_path / "fluentd.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [fluentd_command, "-c", str(config), "--no-supervisor"],
            stdout=out,
            stderr=out,
            env={**os.environ, "TZ": "UTC"},
        )
    try:
        _eventually(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield port, log
    finally:
        process.kill()
        process.wait(30)


def _access(folder: Path) -> Access:
    return Access(
        tls=True,
        ca_file=folder / "ca.pem",
        server_name="fluentd.example",
        shared_key=KEY,
        user="shop",
        password="word",
    )


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _eventually(holds: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def _entries(first: int, count: int) -> list[bytes]:
    encode = EntryEncoder().encode
    return [
        encode(
            {"order.id": f"SO-{n:03}", "event.id": f"e-{n}", "@timestamp": "2026-03-01T12:00:00.123456789Z"},
            1_772_366_400_123_456_789,
        )
        for n in range(first, first + count)
    ]


def test_a_real_fluentd_acknowledges_what_comes_under_tls_shared_key_and_user(
    fluentd: tuple[int, Path], tmp_path: Path
) -> None:
    port, log = fluentd
    carrier = ForwardCarrier([("127.0.0.1", port)], "ordertrace.shop", _access(tmp_path))
    carrier.deliver(_entries(0, 50))
    carrier.deliver(_entries(50, 50))
    carrier.close()
    _eventually(lambda: all(f'"order.id":"SO-{number:03}"' in log.read_text() for number in range(100)))
    assert "2026-03-01 12:00:00.123456789" in log.read_text()


@pytest.mark.parametrize("wrong", [{"shared_key": "other"}, {"password": "other"}])
def test_a_real_fluentd_refuses_who_cannot_prove_itself_and_the_sender_says_so(
    fluentd: tuple[int, Path], wrong: dict[str, str], tmp_path: Path
) -> None:
    stranger = ForwardCarrier([("127.0.0.1", fluentd[0])], "t", replace(_access(tmp_path), **wrong))  # type: ignore[arg-type]
    with pytest.raises(ConnectionError, match=r"refused us|closed the connection"):
        stranger.deliver(_entries(0, 1))
    stranger.close()
