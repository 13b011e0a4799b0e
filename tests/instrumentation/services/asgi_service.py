"""Plain ASGI; the order in the path is found by a function."""

import json
from typing import Any

import work

from ordertrace_instrumentation.places import IncomingRequest
from ordertrace_instrumentation.web.asgi import OrderMiddleware


async def shop(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("HTTP only")  # uvicorn goes on without lifespan
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status = 201 if scope["path"] == "/checkout" else 200
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["path"].startswith("/stream/"):
        for step in work.steps():
            await send({"type": "http.response.body", "body": step, "more_body": True})
        await send({"type": "http.response.body"})
        return
    if scope["path"] == "/checkout":
        answer = work.checkout(json.loads(body)["cart"])
    elif scope["path"] == "/place":
        answer = work.place(json.loads(body)["cart"])
    elif scope["path"] == "/digest":
        answer = work.digest(body)
    else:
        answer = {**work.seen(), **({"body": json.loads(body)} if body else {})}
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def in_path(request: IncomingRequest) -> str | None:
    _, folder, *rest = request.path.split("/")
    return rest[0] if rest and folder in ("orders", "stream") else None


app = OrderMiddleware(shop, order_id_from=[in_path, "json:order_id", "response_json:/checkout:order.number"])
