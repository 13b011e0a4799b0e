"""Django: `application` for WSGI, hooked for the whole process; `asgi` with the middleware in its settings."""

import json
import os

import django
import work
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from ordertrace_instrumentation.web.django import instrument

by_hand = os.environ.get("BY_HAND") == "1"
settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DEFAULT_CHARSET="utf-8",
    LOGGING_CONFIG=None,
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    MIDDLEWARE=[
        *(["ordertrace_instrumentation.web.django.OrderMiddleware"] if by_hand else []),
        "django.middleware.common.CommonMiddleware",
    ],
)
django.setup()


def seen(request: HttpRequest) -> HttpResponse:
    return JsonResponse(work.seen())


async def show(request: HttpRequest, order_id: str) -> HttpResponse:
    return JsonResponse(work.seen())


def take(request: HttpRequest) -> HttpResponse:
    body = json.loads(request.body)
    return JsonResponse({**work.seen(), "body": body})


def place(request: HttpRequest) -> HttpResponse:
    return JsonResponse(work.place(json.load(request)["cart"]))


def checkout(request: HttpRequest) -> HttpResponse:
    return JsonResponse(work.checkout(json.load(request)["cart"]), status=201)


async def digest(request: HttpRequest) -> HttpResponse:
    return JsonResponse(work.digest(request.read()))


def stream(request: HttpRequest, order_id: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(work.steps(), content_type="text/plain")


urlpatterns = [
    path("seen", seen),
    path("orders/<order_id>", show),
    path("orders", take),
    path("place", place),
    path("checkout", checkout),
    path("digest", digest),
    path("stream/<order_id>", stream),
]
application = get_wsgi_application()
asgi = get_asgi_application()
if not by_hand:
    instrument()
    instrument()
