"""The carrier's plain text becomes the vocabulary's events, with the waybill as their only tie to an order."""

import logging
from pathlib import Path

import pytest

from ordertrace_rules.intake.intake import Reader
from ordertrace_rules.intake.mapping_file import load_mappings
from ordertrace_rules.intake.masking import DEFAULT_MASKS, Masker
from ordertrace_rules.times import NS, parse_instant
from ordertrace_shop.carrier import Carrier, LocalTimeFormatter
from ordertrace_shop.configuration import CARRIER_MAPPING

AT = parse_instant("2026-11-11T12:00:01.250Z")


def line(message: str) -> str:
    """A line as the carrier writes it."""
    record = logging.LogRecord("carrier.parcels", logging.INFO, __file__, 1, message, None, None)
    record.created = AT / NS
    return LocalTimeFormatter().format(record)


@pytest.fixture
def reader() -> Reader:
    return Reader(load_mappings([CARRIER_MAPPING]), Masker(DEFAULT_MASKS))


@pytest.mark.parametrize(
    ("status", "action"),
    [("COLLECTED", "shipment.collected"), ("SIGNED", "delivery.signed"), ("BOOKED", "")],
)
def test_a_line_becomes_an_event_of_its_own_time(reader: Reader, status: str, action: str) -> None:
    text = line(f"waybill=YT000000000017 status={status} depot=HGH-2")
    assert text == f"2026-11-11T20:00:01.250+08:00 INFO waybill=YT000000000017 status={status} depot=HGH-2"
    record = {"message": text, "service.name": "carrier"}
    (event,) = reader.events(record, received=AT + NS, source="carrier.log")
    assert (event.action, event.timestamp, event.service) == (action, AT, "carrier")
    assert event.refs == {"tracking_no": "YT000000000017"}
    assert event.order_id == ""
    assert event.labels["carrier"] == "yto"


def test_the_carrier_writes_the_lines_that_the_mapping_reads(
    tmp_path: Path, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "carrier.parcels")
    waybill = Carrier(tmp_path).book()
    (said,) = caplog.messages
    (event,) = reader.events({"message": line(said)}, received=AT, source="carrier.log")
    assert event.refs == {"tracking_no": waybill}
