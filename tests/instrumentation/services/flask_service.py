"""Flask, hooked for the whole process after the application is made; `flask_app_service` hooks one application."""

from typing import Any

import work
from flask import Flask, Response, request

from ordertrace_instrumentation.web.flask import instrument


def make_app() -> Flask:
    app = Flask("shop")

    @app.get("/seen")
    def seen() -> dict[str, Any]:
        return work.seen()

    @app.get("/orders/<order_id>")
    def show(order_id: str) -> dict[str, Any]:
        return work.seen()

    @app.post("/orders")
    def take() -> dict[str, Any]:
        body = request.get_json()
        return {**work.seen(), "body": body}

    @app.post("/place")
    def place() -> dict[str, Any]:
        return work.place(request.get_json()["cart"])

    @app.post("/checkout")
    def checkout() -> tuple[dict[str, Any], int]:
        return work.checkout(request.get_json()["cart"]), 201

    @app.post("/digest")
    def digest() -> dict[str, Any]:
        return work.digest(request.get_data())

    @app.get("/stream/<order_id>")
    def stream(order_id: str) -> Response:
        return Response(work.steps(), mimetype="text/plain")

    return app


app = make_app()
instrument()
