"""What is kept when Fluentd or Elasticsearch fails: everything that was acknowledged, and each of it once."""

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha512
from pathlib import Path
from threading import Thread
from typing import Any

import msgpack
import pytest
from fluent.sender import FluentSender

from ordertrace_instrumentation.identity import order_trace_id
from ordertrace_instrumentation.transports.courier import EntryEncoder
from ordertrace_instrumentation.transports.forward import ForwardCarrier
from tests.collector.conftest import CONFIG, Fluentd, Stream, eventually, free_port
from tests.collector.relay import relay

MakeFluentd = Callable[..., Fluentd]
EVENTS = int(os.environ.get("ORDERTRACE_TEST_FLUENTD_EVENTS", "2000"))
BATCH = 100
START = 1_790_000_000_000_000_000


def batches(count: int) -> list[list[bytes]]:
    """Entries as the shim sends them, with their ids made once."""
    encoder = EntryEncoder()
    entries = [
        encoder.encode(
            {"event.id": f"e{n}", "order.id": f"SO-{n}", "event.action": "order.placed"}, START + n
        )
        for n in range(count)
    ]
    return [entries[at : at + BATCH] for at in range(0, count, BATCH)]


def deliver(fluentd: Fluentd, entries: list[list[bytes]], acknowledged: list[int] | None = None) -> None:
    """Returns once Fluentd has acknowledged all of them; `acknowledged` gets the size of each chunk as it was."""
    carrier = ForwardCarrier([("127.0.0.1", fluentd.port)], "ordertrace.shop")
    for batch in entries:
        carrier.deliver(batch)
        if acknowledged is not None:
            acknowledged.append(len(batch))
    carrier.close()


def to(stream: Stream, **more: str) -> dict[str, str]:
    return {"ORDERTRACE_ES_URL": stream.url, "ORDERTRACE_ES_NAMESPACE": stream.namespace, **more}


def test_the_configuration_is_one_that_fluentd_takes(make_fluentd: MakeFluentd) -> None:
    for tls in ("off", "on"):
        fluentd = make_fluentd(FLUENTD_TLS=tls, FLUENTD_SHARED_KEY="k")
        certificate(fluentd)
        done = subprocess.run(
            [fluentd.command, "--dry-run", "-c", str(CONFIG / "fluent.conf")],
            env=fluentd.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "finished dry run mode" in done.stdout
        warnings = [line for line in done.stdout.splitlines() if "[warn]" in line]
        assert [line for line in warnings if "private_key_passphrase" not in line] == []
        assert ("forward_tls" in done.stdout) == (tls == "on")


def test_a_kill_in_the_middle_and_a_full_resend_lose_and_double_nothing(
    make_fluentd: MakeFluentd, own_stream: Stream
) -> None:
    fluentd = make_fluentd(**to(own_stream)).start()
    entries = batches(EVENTS)
    acknowledged: list[int] = []

    def send() -> None:
        with suppress(OSError):
            deliver(fluentd, entries, acknowledged)

    sending = Thread(target=send)
    sending.start()
    eventually(lambda: len(acknowledged) >= len(entries) // 3)
    fluentd.kill()
    sending.join()
    assert len(acknowledged) < len(entries), "it was killed too late"
    fluentd.start()
    eventually(lambda: own_stream.count() >= sum(acknowledged))  # these come without a re-send
    deliver(fluentd, entries)
    eventually(lambda: own_stream.count() >= EVENTS)
    settled(fluentd)
    assert own_stream.count() == EVENTS
    assert fluentd.dead_letters() == []


def settled(fluentd: Fluentd) -> None:
    """Until the buffer is empty: whatever would double a record has been written."""
    eventually(lambda: fluentd.plugin("elasticsearch")["buffer_total_queued_size"] == 0)


def test_a_resend_across_a_rollover_gives_two_documents_of_one_id(
    make_fluentd: MakeFluentd, own_stream: Stream
) -> None:
    fluentd = make_fluentd(**to(own_stream)).start()
    entries = batches(BATCH)
    deliver(fluentd, entries)
    eventually(lambda: own_stream.count() == BATCH)
    own_stream.roll_over()
    deliver(fluentd, entries)
    eventually(lambda: own_stream.count() == 2 * BATCH)
    assert len({d["event.id"] for d in own_stream.events()}) == BATCH


def test_without_elasticsearch_the_port_opens_sigterm_works_and_records_arrive_later(
    make_fluentd: MakeFluentd, own_stream: Stream
) -> None:
    port = free_port()
    fluentd = make_fluentd(**to(own_stream, ORDERTRACE_ES_URL=f"http://127.0.0.1:{port}")).start()
    deliver(fluentd, batches(BATCH))
    eventually(lambda: (fluentd.plugin("elasticsearch")["retry_count"] or 0) > 0)
    assert fluentd.stop() == 0
    fluentd.start()
    with relay(port, own_stream.url):
        eventually(lambda: own_stream.count() == BATCH)


@pytest.mark.parametrize("answer", [200, 429, 503], ids=["429 for each item", "429", "503"])
def test_a_busy_elasticsearch_is_asked_again(
    make_fluentd: MakeFluentd, own_stream: Stream, answer: int
) -> None:
    port = free_port()
    with relay(port, own_stream.url, busy=3, answer=answer) as between:
        fluentd = make_fluentd(**to(own_stream, ORDERTRACE_ES_URL=f"http://127.0.0.1:{port}")).start()
        deliver(fluentd, batches(BATCH))
        eventually(lambda: own_stream.count() == BATCH)
        assert between.busy == 0
    assert fluentd.dead_letters() == []
    assert not list((fluentd.state / "root").rglob("backup"))


def test_the_pages_example_of_a_filter_of_ones_own_works(
    make_fluentd: MakeFluentd, own_stream: Stream
) -> None:
    page = (CONFIG.parents[1] / "docs" / "fluentd.md").read_text(encoding="utf-8")
    [example] = [block for block in page.split("```") if "<filter gateway.**>" in block]
    fluentd = make_fluentd(**to(own_stream))
    (fluentd.site / "gateway.conf").write_text(example, encoding="utf-8")
    fluentd.start()
    sender = FluentSender("gateway.log", port=fluentd.port)
    for line in ("2026-11-11T20:00:00+08:00 PAY P7 order=SO-7 result=OK", "something else"):
        assert sender.emit(None, {"message": line})
    sender.close()
    eventually(lambda: own_stream.count() == 2)
    [paid] = [d for d in own_stream.events() if d.get("event.action") == "payment.captured"]
    assert (paid["@timestamp"], paid["order.refs.payment_id"]) == ("2026-11-11T20:00:00+08:00", "P7")
    assert (paid["order.trace_id"], paid["event.outcome"]) == (order_trace_id("SO-7"), "success")


def test_a_full_buffer_holds_the_sender_back(make_fluentd: MakeFluentd) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    fluentd = make_fluentd(ORDERTRACE_ES_URL=nowhere, FLUENTD_BUFFER_MAX_BYTES="10k").start()
    carrier = ForwardCarrier([("127.0.0.1", fluentd.port)], "t", ack=1.0)
    with pytest.raises(OSError):
        for batch in batches(EVENTS):
            carrier.deliver(batch)
    carrier.close()


def certificate(fluentd: Fluentd) -> Path:
    """A certificate for localhost, made for this test."""
    folder = fluentd.state.parent
    made, key = folder / "tls.crt", folder / "tls.key"
    options = "-newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = ["openssl", "req", "-x509", *options.split(), "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    fluentd.environment.update({"FLUENTD_TLS_CERT": str(made), "FLUENTD_TLS_KEY": str(key)})
    return made


def greet(port: int, trusted: Path, key: str) -> tuple[ssl.SSLSocket, list[Any]]:
    """The handshake of a Forward client; the connection, and what the server says to our key."""
    context = ssl.create_default_context(cafile=str(trusted))
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection = context.wrap_socket(raw, server_hostname="localhost")
    _, options = read(connection)
    salt = os.urandom(16)
    digest = sha512(salt + b"client" + options["nonce"] + key.encode()).hexdigest()
    connection.sendall(msgpack.packb(["PING", "client", salt, digest, "", ""]))
    return connection, read(connection)


def read(connection: ssl.SSLSocket) -> Any:
    unpacker = msgpack.Unpacker()
    while True:
        unpacker.feed(connection.recv(4096))
        for answer in unpacker:
            return answer


def test_other_machines_need_tls_and_the_key(make_fluentd: MakeFluentd, own_stream: Stream) -> None:
    port = free_port()
    fluentd = make_fluentd(**to(own_stream, FLUENTD_TLS="on", FLUENTD_TLS_PORT=str(port)))
    secret = fluentd.state.parent / "key"
    secret.write_text("right\n", encoding="utf-8")
    fluentd.environment["FLUENTD_SHARED_KEY_FILE"] = str(secret)
    trusted = certificate(fluentd)
    fluentd.start()
    eventually(lambda: fluentd.listens(port))
    connection, (_, welcome, reason, *_) = greet(port, trusted, "wrong")
    connection.close()
    assert (welcome, reason) == (False, "shared_key mismatch")
    connection, (_, welcome, *_) = greet(port, trusted, "right")
    assert welcome is True
    connection.sendall(msgpack.packb(["t", int(time.time()), {"order_id": "SO-1"}, {"chunk": "c"}]))
    assert read(connection) == {"ack": "c"}
    connection.close()
    eventually(lambda: own_stream.count() == 1)


def test_tls_without_a_key_does_not_start(make_fluentd: MakeFluentd) -> None:
    fluentd = make_fluentd(FLUENTD_TLS="on")
    certificate(fluentd)
    command = [fluentd.command, "-c", str(CONFIG / "fluent.conf")]
    done = subprocess.run(
        command, env=fluentd.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "FLUENTD_SHARED_KEY" in done.stdout + done.stderr
