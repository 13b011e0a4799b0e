"""`ordertrace trace`, `incidents` and `guide`, on the morning's service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import jsonschema
import pytest
from click.testing import CliRunner, Result

from ordertrace_rules.cli.context import Context
from ordertrace_rules.cli.guide import guide
from ordertrace_rules.cli.incidents import incidents
from ordertrace_rules.cli.trace import trace
from ordertrace_rules.errors import OrdertraceError


@pytest.fixture
def run(morning):
    class Opened(Context):
        settings = morning.service.settings

        @contextmanager
        def open_service(self) -> Iterator[object]:
            yield morning.service

    def call(command, *arguments: str) -> Result:
        return CliRunner().invoke(command, arguments, obj=Opened(None))

    return call


def test_trace_prints_the_document_that_the_api_gives(run, client) -> None:
    result = run(trace, "P-SO-1", "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert document == client.get("/api/v1/orders/SO-1").get_json()
    schemas = client.get("/api/v1/openapi.json").get_json()["components"]
    jsonschema.validate(document, {"$ref": "#/components/schemas/Trace", "components": schemas})


def test_trace_says_in_words_where_the_order_is(run) -> None:
    result = run(trace, "SO-1")
    assert "waiting for outbound" in result.output
    assert "overdue" in result.output
    assert "deduct failed" in result.output
    assert "等待出库" in run(trace, "SO-1", "--language", "zh").output


def test_an_order_that_is_not_there_exits_with_1_and_a_way_out(run) -> None:
    result = run(trace, "nobody")
    assert result.exit_code == 1
    assert "ordertrace ingest" in result.stderr


def test_an_id_of_several_orders_gives_a_choice_and_exits_with_1(run) -> None:
    result = run(trace, "SO")
    assert result.exit_code == 1
    assert "SO-5  (by its order id)" in result.stderr


def test_a_program_gets_the_choice_as_data_and_the_same_exit_code(run) -> None:
    result = run(trace, "SO", "--format", "json")
    matches = json.loads(result.stdout)["matches"]
    assert result.exit_code == 1
    assert {"order_id": "SO-5", "matched": "order id"} in matches
    assert len(matches) > 1
    assert "name the one you mean" in result.stderr
    nothing = run(trace, "nobody", "--format", "json")
    assert (nothing.exit_code, json.loads(nothing.stdout)) == (1, {"matches": []})


def test_control_characters_do_not_reach_the_terminal(run, morning) -> None:
    from ordertrace_rules.event import Event

    document = {
        "@timestamp": "2026-11-20T08:00:00Z",
        "event.id": "n",
        "order.id": "N-1",
        "service.name": "x\x1b]0;y\x07",
    }
    morning.service.store.append(
        [Event.from_document({**document, "message": "\x1b[2J\u202eboom"}, received=1)]
    )
    result = run(trace, "N-1")
    assert "boom" in result.output
    assert not {"\x1b", "\x07", "\u202e"} & set(result.output)


def test_incidents_lists_what_is_open(run) -> None:
    assert "paid_not_reserved-1" in run(incidents).output
    assert "no incident is resolved" in run(incidents, "--state", "resolved").output
    [incident] = json.loads(run(incidents, "--format", "json").output)["incidents"]
    assert incident["counts"]["open"] == 6


def test_incidents_ack_notes_who_is_on_it(run, morning) -> None:
    assert run(incidents, "ack", "paid_not_reserved-1", "--by", "Li").exit_code == 0
    assert morning.service.store.incident("paid_not_reserved-1").value.acknowledged_by == "Li"
    assert isinstance(run(incidents, "ack", "none-1").exception, OrdertraceError)


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_guide_is_printed_in_each_form(run, form) -> None:
    result = run(guide, "paid_not_reserved-1", "--format", form)
    assert result.exit_code == 0, result.output
    assert "inventory" in result.output


def test_guide_of_an_unknown_incident_says_where_they_are_listed(run) -> None:
    assert "ordertrace incidents" in str(run(guide, "none-1").exception)
