"""Starlette, one application hooked: coroutine and thread-pool endpoints, a background task, a mounted part."""

import work
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

from ordertrace_instrumentation import event
from ordertrace_instrumentation.web.starlette import instrument_starlette


async def seen(request: Request) -> JSONResponse:
    return JSONResponse(work.seen(), background=BackgroundTask(event, "mail.sent"))


def show(request: Request) -> JSONResponse:
    return JSONResponse(work.seen())


async def take(request: Request) -> JSONResponse:
    body = await request.json()
    return JSONResponse({**work.seen(), "body": body})


async def place(request: Request) -> JSONResponse:
    return JSONResponse(work.place((await request.json())["cart"]))


async def checkout(request: Request) -> JSONResponse:
    return JSONResponse(work.checkout((await request.json())["cart"]), 201)


async def digest(request: Request) -> JSONResponse:
    body = b"".join([part async for part in request.stream()])
    return JSONResponse(work.digest(body))


async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(work.steps(), media_type="text/plain")


app = Starlette(
    routes=[
        Route("/seen", seen),
        Mount("/orders", routes=[Route("/{order_id}", show)]),
        Route("/orders", take, methods=["POST"]),
        Route("/place", place, methods=["POST"]),
        Route("/checkout", checkout, methods=["POST"]),
        Route("/digest", digest, methods=["POST"]),
        Route("/stream/{order_id}", stream),
    ]
)
instrument_starlette(app)
instrument_starlette(app)
