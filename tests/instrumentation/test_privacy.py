"""What leaves the service: allowed, denied, hashed and cut, and never more because a setting was wrong."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from ordertrace_instrumentation import configure, event, order, shutdown
from ordertrace_instrumentation.privacy import NEEDED, Privacy
from ordertrace_instrumentation.settings import read_settings

RECORD = {
    "@timestamp": "2026-11-22T10:00:00.000000000Z",
    "event.id": "e-1",
    "service.name": "payment",
    "event.action": "payment.captured",
    "order.id": "SO-1",
    "order.refs.payment_id": "P-7",
    "labels.email": "ada@example.com",
    "labels.sku": "A-1",
    "message": "paid by ada@example.com",
    "order.amount": 12.5,
}


def test_what_is_denied_does_not_leave_and_the_record_given_stays():
    given = dict(RECORD)
    kept = Privacy(deny=("labels.email", "message")).applied(given)
    assert kept.keys() == RECORD.keys() - {"labels.email", "message"}
    assert given == RECORD


def test_with_a_list_of_what_may_leave_nothing_else_does_but_what_is_needed():
    kept = Privacy(allow=("labels.sku", "order.refs.*")).applied(RECORD)
    assert kept.keys() == (RECORD.keys() & NEEDED) | {"labels.sku", "order.refs.payment_id"}


def test_denial_goes_before_permission():
    kept = Privacy(allow=("labels.*",), deny=("labels.email",)).applied(RECORD)
    assert "labels.sku" in kept
    assert "labels.email" not in kept


def test_a_hash_is_the_same_for_the_same_value_and_key_and_tells_nothing_without_the_key():
    kept = Privacy(hashed=("labels.email",), hash_key="secret").applied(RECORD)
    digest = hmac.new(b"secret", b"ada@example.com", hashlib.sha256).hexdigest()[:32]
    assert kept["labels.email"] == f"hmac:{digest}"
    other = Privacy(hashed=("labels.email",), hash_key="other").applied(RECORD)
    assert other["labels.email"] != kept["labels.email"]


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_no_list_takes_out_or_hashes_what_says_of_which_order_a_record_is(name: str):
    record = {name: "value"}
    assert Privacy(deny=(name, "*"), hashed=(name,), hash_key="k").applied(record) == record


def test_messages_and_labels_are_cut_at_their_own_lengths_and_say_so():
    record = {"message": "m" * 100, "labels.note": "n" * 100, "error.message": "e" * 100}
    kept = Privacy(max_message=10, max_label=20).applied(record)
    assert kept["message"] == "m" * 10 + "… [cut: 100 characters]"
    assert kept["labels.note"] == "n" * 20 + "… [cut: 100 characters]"
    assert kept["error.message"] == "e" * 100


def test_heartbeats_and_losses_leave_whatever_the_lists_say():
    record = {"ordertrace.lost.queue_full": 3, "ordertrace.heartbeat.phase": "alive"}
    assert Privacy(allow=("labels.sku",)).applied(record) == record


def test_a_list_that_cannot_be_read_lets_out_no_more_than_is_needed():
    settings, problems = read_settings({}, {"ORDERTRACE_FIELD_DENY": "labels.*.x"})
    assert "only what is needed leaves" in problems[0]
    assert settings.privacy.applied(RECORD).keys() == RECORD.keys() & NEEDED


def test_without_a_key_what_was_to_be_hashed_is_left_out():
    settings, problems = read_settings({}, {"ORDERTRACE_FIELD_HASH": "labels.email"})
    assert any("field_hash_key" in problem for problem in problems)
    assert "labels.email" not in settings.privacy.applied(RECORD)


def test_the_key_of_hashes_is_in_no_complaint_and_in_no_repr():
    settings, problems = read_settings({"field_hash": ["labels.email"], "field_hash_key": "top-secret"}, {})
    assert problems == []
    assert "top-secret" not in repr(settings)


def test_a_service_that_configured_it_ships_nothing_else(tmp_path: Path):
    path = tmp_path / "records"
    configure(
        "payment",
        transport=f"file:{path}",
        field_deny="labels.email",
        field_hash="labels.customer",
        field_hash_key="secret",
        max_label=8,
    )
    with order("SO-1"):
        event("payment.captured", email="ada@example.com", customer="C-1", note="a long note")
    shutdown()
    [said] = [r for r in map(json.loads, path.read_text().splitlines()) if r.get("order.id")]
    assert "ada@example.com" not in path.read_text()
    assert said["labels.customer"].startswith("hmac:")
    assert said["labels.note"] == "a long n… [cut: 11 characters]"
