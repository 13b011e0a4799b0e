"""Each logger that is followed, in one service with no line of ours: plain Flask, its own formats, its own files."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import ecs_logging
import structlog
from flask import Flask, request
from fluent.handler import FluentHandler, FluentRecordFormatter
from loguru import logger as loguru_logger
from pythonjsonlogger.json import JsonFormatter
from werkzeug.serving import make_server

folder, fd, fluentd = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
logging.getLogger("werkzeug").setLevel("ERROR")


def with_handler(name: str, handler: logging.Handler, formatter: logging.Formatter) -> logging.Logger:
    handler.setFormatter(formatter)
    logger = logging.Logger(name)
    logger.addHandler(handler)
    return logger


def in_file(name: str, formatter: logging.Formatter) -> logging.Logger:
    return with_handler(name, logging.FileHandler(folder / name), formatter)


plain = logging.Formatter('{"order.id": "%(order_id)s", "message": "%(message)s"}')
structlog.configure(
    processors=[structlog.processors.JSONRenderer()],
    logger_factory=structlog.PrintLoggerFactory((folder / "structlog").open("w", buffering=1)),
)
loguru_logger.configure(
    handlers=[
        {"sink": folder / "loguru", "format": '{{"order.id": "{extra[order_id]}", "message": "{message}"}}'}
    ]
)
fluent_handler = FluentHandler("shop", host="127.0.0.1", port=fluentd)
loggers: list[Any] = [
    in_file("stdlib", plain),
    in_file("ecs-logging", ecs_logging.StdlibFormatter()),
    in_file("python-json-logger", JsonFormatter()),
    with_handler("fluent-logger", fluent_handler, FluentRecordFormatter({"where": "%(name)s"})),
    structlog.get_logger(),
    loguru_logger,
]
app = Flask("shop")


@app.get("/seen")
@app.get("/orders/<order_id>")
def seen(order_id: str = "") -> dict[str, Any]:
    for logger in loggers:
        logger.info("stock seen")
    return {"order": ""}


@app.post("/orders")
def take() -> dict[str, Any]:
    json.loads(request.get_data())
    return seen()


if __name__ == "__main__":
    make_server("127.0.0.1", 0, app, threaded=True, fd=fd).serve_forever()
