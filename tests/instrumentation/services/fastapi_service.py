"""FastAPI, hooked for the whole process after the application is made."""

from typing import Annotated, Any

import work
from fastapi import APIRouter, BackgroundTasks, Body, FastAPI, Request
from fastapi.responses import StreamingResponse

from ordertrace_instrumentation import event
from ordertrace_instrumentation.web.starlette import instrument

app = FastAPI()
router = APIRouter()


@app.get("/seen")
async def seen(tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(event, "mail.sent")
    return work.seen()


@router.get("/{order_id}")
def show(order_id: str) -> dict[str, Any]:
    return work.seen()


@app.post("/orders")
async def take(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    return {**work.seen(), "body": body}


@app.post("/place")
def place(cart: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
    return work.place(cart)


@app.post("/checkout", status_code=201)
def checkout(cart: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
    return work.checkout(cart)


@app.post("/digest")
async def digest(request: Request) -> dict[str, Any]:
    return work.digest(await request.body())


@app.get("/stream/{order_id}")
async def stream(order_id: str) -> StreamingResponse:
    return StreamingResponse(work.steps(), media_type="text/plain")


app.include_router(router, prefix="/orders")
instrument()
