"""The demo's webhook receiver trusts nobody: only what the Standard Webhooks library would accept."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from ordertrace_shop.receiver import Receiver, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"type": "incident.opened"})


def signed(body: str, secret: str = SECRET) -> dict[str, str]:
    at = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body),
    }


def test_what_the_library_signs_is_verified() -> None:
    assert verify(SECRET, signed(BODY), BODY.encode())


def test_one_good_signature_among_several_is_enough() -> None:
    headers = signed(BODY)
    headers["webhook-signature"] = "v1,AAAA " + headers["webhook-signature"]
    assert verify(SECRET, headers, BODY.encode())


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_changed_or_missing_header_is_refused(header: str) -> None:
    headers = signed(BODY)
    assert not verify(SECRET, {**headers, header: "1"}, BODY.encode())
    del headers[header]
    assert not verify(SECRET, headers, BODY.encode())


def test_a_changed_body_is_refused() -> None:
    assert not verify(SECRET, signed(BODY), BODY.replace("opened", "closed").encode())


def test_a_delivery_is_kept_with_its_verdict_and_nothing_unverified_is_read() -> None:
    other = "whsec_" + "A" * 32
    with Receiver(SECRET) as receiver, httpx.Client(trust_env=False) as client:
        assert client.post(receiver.url, content=BODY, headers=signed(BODY, other)).status_code == 401
        assert client.post(receiver.url, content=BODY, headers=signed(BODY)).status_code == 204
        forged, genuine = receiver.deliveries()
    assert (forged.verified, dict(forged.body)) == (False, {})
    assert (genuine.verified, dict(genuine.body)) == (True, {"type": "incident.opened"})
