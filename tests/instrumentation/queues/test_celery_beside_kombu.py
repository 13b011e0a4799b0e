"""Celery's integration needs kombu's hooks; each of the two takes back its own share and no more."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import kombu as kombu_library
import pytest

from ordertrace_instrumentation import order
from ordertrace_instrumentation.queues import celery, kombu

Step = Callable[[], None]


@pytest.fixture(autouse=True)
def unhooked() -> Iterator[None]:
    yield
    celery.uninstrument()
    kombu.uninstrument()


def is_followed(shipped: Any) -> bool:
    """Whether a message that goes through kombu now is said to be published and consumed."""
    before = len(shipped())
    with kombu_library.Connection("memory://") as connection:
        queue = kombu_library.Queue(secrets.token_hex(4), channel=connection)
        queue.declare()
        with order("SO-7"):
            connection.Producer().publish({"order_id": "SO-7"}, routing_key=queue.name)
        message = queue.get()
        assert message is not None
        message.ack()
    actions = [record["event.action"] for record in shipped()[before:]]
    assert actions in ([], ["message.published", "message.consumed"])
    return bool(actions)


@pytest.mark.parametrize(
    ("steps", "followed"),
    [
        ((kombu.instrument, celery.instrument, celery.uninstrument), True),
        ((celery.instrument, kombu.instrument, celery.uninstrument), True),
        ((celery.instrument, kombu.instrument, kombu.uninstrument), True),
        ((kombu.instrument, celery.uninstrument), True),
        ((celery.instrument, celery.instrument, celery.uninstrument), False),
        ((celery.instrument, kombu.uninstrument, celery.uninstrument), False),
        ((kombu.instrument, celery.instrument, kombu.uninstrument, celery.uninstrument), False),
        ((kombu.instrument, celery.instrument, celery.uninstrument, kombu.uninstrument), False),
    ],
)
def test_kombus_hooks_stay_until_each_that_put_them_has_taken_them_back(
    shipped: Any, steps: tuple[Step, ...], followed: bool
) -> None:
    for step in steps:
        step()
    assert is_followed(shipped) is followed
