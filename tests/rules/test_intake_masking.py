"""Personal data does not get past intake."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.clock import SetClock
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.intake.masking import DEFAULT_MASKS, Masker
from ordertrace_rules.intake.record import flat
from ordertrace_rules.stores.memory import MemoryStore

PHONE = "13800138000"
CARD = "4111 1111 1111 1111"
MASK = re.compile(r"\[masked:[0-9a-f]{4}\]")


@pytest.mark.parametrize(
    "record",
    [
        {"phone": PHONE},
        {"customer": {"Phone": PHONE}},
        {"labels": {"receiver_phone": PHONE}},
        {"labels.receiverPhone": PHONE},
        {"phone": {"home": PHONE}},
        {"phone": int(PHONE)},
        {"items": [{"buyer": {"phone": PHONE}}]},
        {"phone": [PHONE, {"other": PHONE}]},
        {"phone": PHONE, "message": f"SMS to {PHONE} sent"},
        {"message": f"sending sms phone={PHONE}, ok"},
        {"message": 'body={"phone": "' + PHONE + '"}'},
        {"message": 'body={\\"phone\\": \\"' + PHONE + '\\"}'},
        {"message": f"通知手机phone={PHONE}，receiverPhone: {PHONE}"},
        {"message": f"a=b&customer.phone={PHONE}&c=d"},
        {"error": {"message": f"Phone: {PHONE} is invalid"}},
    ],
    ids=str,
)
def test_a_named_field_is_masked_wherever_it_stands(record: dict[str, object]) -> None:
    text = json.dumps(Masker().masked(flat(record)))
    assert PHONE not in text
    assert MASK.search(text)


@pytest.mark.parametrize("card", [CARD, CARD.replace(" ", ""), CARD.replace(" ", "-"), "6222021234567890128"])
def test_a_card_number_in_a_message_is_masked(card: str) -> None:
    luhn_ok = _luhn(re.sub(r"\D", "", card))
    text = Masker().text(f"paid with {card}.")
    assert (card not in text) == luhn_ok


def test_numbers_that_are_no_cards_stay() -> None:
    for text in (
        "order 4111111111111112",
        "at 1767225600000000000 ns",
        "id 8111111111111115",
        "SO-4111111111111111",
    ):
        assert Masker().text(text) == text


def test_the_orders_own_number_is_no_card() -> None:
    number = CARD.replace(" ", "")
    fields = Masker().masked({"order.id": number, "message": f"order {number} paid"})
    assert fields == {"order.id": number, "message": f"order {number} paid"}


def test_what_only_sounds_alike_stays() -> None:
    record = {"server.address": "10.0.0.1", "telemetry.sdk": "x", "labels.panel": "7", "cardinality": "12345"}
    assert Masker().masked(dict(record)) == record


def test_a_mask_is_the_same_for_the_same_value_and_key_and_too_short_to_lead_back() -> None:
    masker = Masker()
    assert masker.mask(PHONE) == masker.mask(PHONE) != Masker(key="secret").mask(PHONE)
    assert masker.mask(masker.mask(PHONE)) == masker.mask(PHONE)
    assert MASK.fullmatch(masker.mask(PHONE))


def test_a_dotted_name_means_that_field_alone() -> None:
    fields = Masker(["user.name"]).masked({"user.name": "Li Lei", "service.user.name": "Han", "phone": PHONE})
    assert fields["service.user.name"] == "Han"
    assert fields["phone"] == PHONE
    assert MASK.fullmatch(fields["user.name"])


def test_a_record_that_is_kept_aside_is_masked_too() -> None:
    store = MemoryStore()
    records = [
        {"phone": PHONE, "items": [{"address": "1 Main Street"}]},
        '{"phone": "' + PHONE + '", "broken',
        f"plain phone: {PHONE} card {CARD}",
        ["phone=" + PHONE],
    ]
    Intake(store, SetClock(0)).accept(records, source="x")
    kept = [k.raw for k in store.kept_aside(10)]
    assert len(kept) == 4
    assert not [raw for raw in kept if PHONE in raw or "Main Street" in raw or CARD in raw]


def test_masking_leaves_the_vocabulary_alone() -> None:
    record = {"@timestamp": "2026-01-01T00:00:00Z", "order.refs.payment_id": "P-1", "order.amount": 12.5}
    assert Masker().masked(dict(record)) == record


@given(st.text(max_size=300))
def test_masking_any_text_ends_and_masking_twice_changes_nothing(text: str) -> None:
    masker = Masker()
    once = masker.text(text)
    assert masker.text(once) == once


@given(
    st.from_regex(r"\A[0-9]{8,11}\Z"), st.sampled_from(["phone", "mobile", "card_no"]), st.text(max_size=20)
)
def test_a_masked_value_of_five_characters_or_more_is_nowhere_in_the_message(
    value: str, name: str, text: str
) -> None:
    fields = Masker(DEFAULT_MASKS).masked({name: value, "message": f"{text} {value} {text}"})
    assert value not in fields["message"] or value in text


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0
