"""How long others wait beside a target that hangs: from a signal's acceptance to its arrival elsewhere. Markdown out.

    python bench/hanging_target.py [--signals 100] [--rate 10] [--rounds 6]

Two receivers on real sockets, both told of every incident, SQLite, and a tick as often as the service's. First the
second receiver answers, then it takes every connection and says nothing, again and again: its circuit is kept from
opening, so that it hangs all the time. The phases alternate in one run. The ratio of the p99 of the first receiver
is what counts. The last rows are of a tick that waits half a second for its sends, as it once did.
"""

import argparse
import logging
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ordertrace_alerting import Pipeline, Signal, SqliteAlertStore, alerting_config, build_senders

TIMEOUT = 1.0  # seconds, of an attempt
NS = 1_000_000_000


class Receiver:
    """Notes when each incident came; with `hangs` set it takes requests and answers none."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        self.hangs = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.hangs.is_set():
                    time.sleep(TIMEOUT * 2)
                    return
                incident = body.partition(b'"incident":"')[2].partition(b'"')[0].decode()
                receiver.came.setdefault(incident, time.perf_counter())
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"


def phase(name: str, args: argparse.Namespace, interval: float, patience: float, hangs: bool) -> list[float]:
    """How long each signal took to the first receiver, in seconds."""
    first, second = Receiver(), Receiver()
    if hangs:
        second.hangs.set()
    hook = {"type": "webhook", "allow_private": True, "timeout": TIMEOUT}
    config = alerting_config(
        {
            "receivers": [{**hook, "name": "a", "url": first.url}, {**hook, "name": "b", "url": second.url}],
            "route": {"receivers": ["a", "b"], "group_wait": 0},
            "retry": {"backoff": "50ms", "max_backoff": "50ms"},
            "circuit": {"failures": 1_000_000},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteAlertStore(Path(folder) / "alerts.db")
        pipeline = Pipeline(config, store, build_senders(config), time.time_ns, patience=patience)
        over = threading.Event()
        ticking = threading.Thread(target=_tick, args=(pipeline, interval, over))
        ticking.start()
        accepted: dict[str, float] = {}
        begin = time.perf_counter()
        for n in range(args.signals):
            time.sleep(max(0.0, begin + n / args.rate - time.perf_counter()))
            incident = f"{name}-{n}"
            accepted[incident] = time.perf_counter()
            pipeline.accept(_signal(incident))
        deadline = time.perf_counter() + 60
        while len(first.came) < args.signals and time.perf_counter() < deadline:
            time.sleep(0.02)
        over.set()
        ticking.join()
        pipeline.close()
        store.close()
    return [first.came[incident] - at for incident, at in accepted.items()]


def _tick(pipeline: Pipeline, interval: float, over: threading.Event) -> None:
    while not over.wait(interval):
        pipeline.tick()


def _signal(incident: str) -> Signal:
    said: Mapping[str, str] = {"en": "A payment was taken and no stock was reserved."}
    return Signal(f"{incident}:1", incident, 1, "opened", "firing", time.time_ns(), {}, said, said)


def quantile(values: list[float], hundredth: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[hundredth - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--signals", type=int, default=100, help="a phase")
    parser.add_argument("--rounds", type=int, default=6, help="phases of each kind, in turn")
    parser.add_argument("--rate", type=float, default=10.0, help="signals a second")
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # of each attempt that nobody answers
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; {args.rounds} x {args.signals} signals"
    )
    print()
    print("| a tick | beside it | p50 | p99 | ratio of p99 |")
    print("|---|---|---:|---:|---:|")
    for interval, patience in ((0.5, 0.0), (0.05, 0.0), (0.05, 0.5)):
        times: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(args.rounds):
            for hangs in (False, True):
                times[hangs] += phase(f"inc{turn}{int(hangs)}", args, interval, patience, hangs)
        usual = quantile(times[False], 99)
        how = f"every {interval * 1000:g} ms" + (f", waits {patience * 1000:g} ms" if patience else "")
        for hangs, found in times.items():
            beside = "one that hangs" if hangs else "one that answers"
            p50, p99 = quantile(found, 50), quantile(found, 99)
            print(
                f"| {how} | {beside} | {p50 * 1000:.0f} ms | {p99 * 1000:.0f} ms | {p99 / usual:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
