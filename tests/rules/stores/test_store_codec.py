"""Documents of stored dataclasses: exact there and back, open to older and newer programs, strict otherwise."""

import json
import math
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.event import Event
from ordertrace_rules.stores.codec import DocumentError, decode, decode_event, encode, encode_event
from ordertrace_rules.stores.protocol import Presence
from ordertrace_rules.vocabulary import Incident, Journey, Member

KINDS = (Journey, Member, Incident, Presence)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text(st.characters(exclude_categories=()), max_size=8))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_was_written_is_read_back_equal(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(st.builds(kind, **{f.name: ... for f in fields(kind)}))
    text = encode(value)
    assert text.isascii()
    assert decode(kind, text) == value


MINIMAL = {
    Journey: {"process": "p", "subject": "s", "order_ids": [], "stages": []},
    Member: {"playbook": "p", "group": "", "subject": "s"},
    Presence: {"service": "s", "instance": "i", "first_at": 1, "last_at": 2},
}


@pytest.mark.parametrize("kind", MINIMAL)
def test_a_missing_key_takes_the_default_and_an_unknown_one_is_ignored(kind: type[Any]) -> None:
    value = decode(kind, json.dumps({**MINIMAL[kind], "from_the_future": {"deep": [1]}}))
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in MINIMAL[kind].items()}
    assert value == kind(**plain)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"process": 1}, "Journey.process: expected str, found 1"),
        ({"order_ids": "SO-1"}, "Journey.order_ids: expected a list"),
        ({"order_ids": ["a", None]}, r"Journey.order_ids\[1\]: expected str, found None"),
        ({"stages": [{"id": "s", "state": "lost"}]}, r"Journey.stages\[0\].state: expected one of waiting"),
        ({"stages": [{"id": "s"}]}, r"Journey.stages\[0\].state is missing"),
        ({"stages": [7]}, r"Journey.stages\[0\]: expected an object"),
        ({"event_count": True}, "Journey.event_count: expected int, found True"),
        ({"event_count": 1.5}, "Journey.event_count: expected int, found 1.5"),
        ({"amount": "9"}, "Journey.amount: expected float, found '9'"),
        ({"refs": {"p": "x"}}, "Journey.refs.p: expected a list"),
        ({"labels": []}, "Journey.labels: expected an object"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        decode(Journey, json.dumps({**MINIMAL[Journey], **change}))


def test_a_tuple_of_fixed_length_has_that_length() -> None:
    with pytest.raises(DocumentError, match=r"runs\[0\]: expected 4 items, found 2"):
        decode(Presence, json.dumps({**MINIMAL[Presence], "runs": [[1, 2]]}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        decode(Journey, text)


def test_a_whole_number_is_read_where_a_float_belongs() -> None:
    journey = decode(Journey, json.dumps({**MINIMAL[Journey], "amount": 7}))
    assert journey.amount == 7.0
    assert type(journey.amount) is float


def test_a_number_that_json_does_not_have_is_not_written() -> None:
    with pytest.raises(DocumentError):
        encode(Journey("p", "s", (), (), amount=math.nan))


@dataclass(frozen=True, slots=True)
class Odd:
    value: set[int]


def test_a_type_that_no_document_holds_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="no way to read"):
        decode(Odd, '{"value": 1}')


def test_an_event_is_read_back_equal() -> None:
    event = Event(id="e", timestamp=1, ingested=2, message="\ud800 等待", extra={"a.b": [1, {"c": None}]})
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("text", ["", "7", "{}", '{"@timestamp": 5}'])
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        decode_event(text)
