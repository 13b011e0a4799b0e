"""A client in a process of its own: LIBRARY PORT… -> one JSON line with what each server answered to it.

127.0.0.1 is a trusted host, localhost is a stranger.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import requests

from ordertrace_instrumentation import configure, event, order
from ordertrace_instrumentation.clients import aiohttp as for_aiohttp
from ordertrace_instrumentation.clients import httpx as for_httpx
from ordertrace_instrumentation.clients import requests as for_requests

Call = Callable[..., Awaitable[Any]]


async def ask(library: str, call: Call, port: str) -> dict[str, Any]:
    order_id = f"SO-{library}-{port}"
    with order(order_id):
        event("stock.asked")
        return {
            "told": await call("GET", f"http://127.0.0.1:{port}/seen"),
            "untold": await call("GET", f"http://localhost:{port}/seen"),
            "id_alone": await call("POST", f"http://localhost:{port}/orders", {"order_id": order_id, "n": 1}),
        }


async def main(library: str, ports: list[str]) -> dict[str, Any]:
    if library == "requests":
        for_requests.instrument()
        session = requests.Session()

        async def call(method: str, url: str, body: Any = None) -> Any:
            return session.request(method, url, json=body, timeout=30).json()

        return {port: await ask(library, call, port) for port in ports}
    if library == "httpx":
        client = for_httpx.instrument_httpx(httpx.Client(timeout=30))

        async def call(method: str, url: str, body: Any = None) -> Any:
            return client.request(method, url, json=body).json()

        return {port: await ask(library, call, port) for port in ports}
    if library == "httpx_async":
        for_httpx.instrument()
        async with httpx.AsyncClient(timeout=30) as asynchronous:

            async def call(method: str, url: str, body: Any = None) -> Any:
                return (await asynchronous.request(method, url, json=body)).json()

            return {port: await ask(library, call, port) for port in ports}
    for_aiohttp.instrument()
    async with aiohttp.ClientSession() as running:

        async def call(method: str, url: str, body: Any = None) -> Any:
            async with running.request(method, url, json=body) as response:
                return await response.json(content_type=None)

        return {port: await ask(library, call, port) for port in ports}


configure("caller", trusted_hosts="127.0.0.1")
print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2:]))))
