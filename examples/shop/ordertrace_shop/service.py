"""What the services share: the command line, the server, and a way to call each other."""

import argparse
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import requests
from flask import Flask
from requests.adapters import HTTPAdapter
from waitress.server import create_server

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Options:
    """Where a service listens, keeps its data and finds the others (`peers`: name -> base URL)."""

    port: int  # 0: the system chooses
    data: Path
    ready_file: Path | None
    threads: int
    peers: Mapping[str, str]


def parse_options(service: str, *peers: str) -> Options:
    """Read the command line of `service`; every peer is a required option of its own."""
    parser = argparse.ArgumentParser(prog=f"python -m ordertrace_shop.{service}")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) lets the system choose")
    parser.add_argument("--data", type=Path, required=True, help="the directory of its database")
    parser.add_argument("--ready-file", type=Path, help="gets the service's address as JSON once it listens")
    parser.add_argument("--threads", type=int, default=8, help="requests served at a time")
    for peer in peers:
        parser.add_argument(f"--{peer}", required=True, metavar="URL")
    given = vars(parser.parse_args())
    return Options(
        port=given["port"],
        data=given["data"],
        ready_file=given["ready_file"],
        threads=given["threads"],
        peers={peer: given[peer] for peer in peers},
    )


def listen(app: Flask, options: Options) -> None:
    """Serve until SIGTERM or Ctrl-C; then leave normally, so that logs are flushed at exit."""
    server: Any = create_server(
        app, host=HOST, port=options.port, threads=options.threads, connection_limit=100 + 2 * options.threads
    )
    signal.signal(signal.SIGTERM, _leave)
    address = {"http": f"http://{HOST}:{server.effective_port}"}
    if options.ready_file is not None:
        unfinished = options.ready_file.with_suffix(".part")
        unfinished.write_text(json.dumps(address), encoding="utf-8")
        unfinished.replace(options.ready_file)
    server.run()


class Peer:
    """Another service, called over HTTP with JSON. Safe to use from several threads."""

    def __init__(self, base_url: str, connections: int = 64) -> None:
        self.base_url = base_url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the machine has no business between these services
        self._session.mount("http://", HTTPAdapter(pool_maxsize=connections))

    def post(self, path: str, body: Mapping[str, str | int | float]) -> requests.Response:
        """Raises requests.RequestException if there is no answer within 10 seconds."""
        return self._session.post(self.base_url + path, json=body, timeout=10)


def _leave(signum: int, frame: object) -> NoReturn:
    sys.exit(0)
