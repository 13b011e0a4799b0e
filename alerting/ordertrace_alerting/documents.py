"""Signals, groups and deliveries as JSON documents, for stores that keep text."""

import json
from dataclasses import asdict, fields
from typing import Any

from ordertrace_alerting.policy import Matcher, Silence
from ordertrace_alerting.vocabulary import Attempt, Delivery, Flush, Group, Held, Signal, TargetState, Told

Document = dict[str, Any]


def signal_document(signal: Signal) -> Document:
    return {
        **{f.name: getattr(signal, f.name) for f in fields(signal)},
        "labels": dict(signal.labels),
        "title": dict(signal.title),
        "body": dict(signal.body),
        "raw_body": dict(signal.raw_body),
        "payload": dict(signal.payload),
    }


def read_signal(document: Document) -> Signal:
    return Signal(**document)


def sound(signal: Signal) -> Signal:
    """The signal as any store and any target can hold it: half characters that UTF-8 cannot carry become `?`.

    Raises TypeError or ValueError where the payload is not JSON.
    """
    text = json.dumps(signal_document(signal), ensure_ascii=False, allow_nan=False)
    return read_signal(json.loads(text.encode("utf-8", "replace")))


def group_document(group: Group) -> Document:
    flush = group.flushing
    return {
        **{f.name: getattr(group, f.name) for f in fields(group)},
        "labels": dict(group.labels),
        "threads": dict(group.threads),
        "pending": {incident: signal_document(signal) for incident, signal in group.pending.items()},
        "told": {
            i: {"signal": signal_document(told.signal), "at": told.at, "said": told.said}
            for i, told in group.told.items()
        },
        "held": {
            i: {"signal": signal_document(h.signal), "until": h.until, "why": h.why, "repeat": h.repeat}
            for i, h in group.held.items()
        },
        "flushing": None
        if flush is None
        else {
            "number": flush.number,
            "at": flush.at,
            "signals": [signal_document(signal) for signal in flush.signals],
            "repeat": flush.repeat,
            "to_digest": flush.to_digest,
        },
    }


def read_group(document: Document) -> Group:
    flush = document["flushing"]
    held = document.get("held", {})  # documents of earlier versions have none
    return Group(
        **_changed(
            document,
            pending={incident: read_signal(row) for incident, row in document["pending"].items()},
            told={i: Told(**_with_signal(row)) for i, row in document["told"].items()},
            held={i: Held(**_with_signal(row)) for i, row in held.items()},
            flushing=flush
            and Flush(**_changed(flush, signals=tuple(read_signal(row) for row in flush["signals"]))),
        )
    )


def delivery_document(delivery: Delivery) -> Document:
    return asdict(delivery)


def read_delivery(document: Document) -> Delivery:
    values: Document = {**document, "signals": tuple(document["signals"])}
    return Delivery(**values)


def attempt_document(attempt: Attempt) -> Document:
    return asdict(attempt)


def read_attempt(document: Document) -> Attempt:
    return Attempt(**document)


def target_document(state: TargetState) -> Document:
    return asdict(state)


def read_target(document: Document) -> TargetState:
    values: Document = {**document, "sent": tuple(document["sent"])}
    return TargetState(**values)


def silence_document(silence: Silence) -> Document:
    return asdict(silence)


def read_silence(document: Document) -> Silence:
    return Silence(**_changed(document, matchers=tuple(Matcher(**row) for row in document["matchers"])))


def _with_signal(row: Document) -> Document:
    return _changed(row, signal=read_signal(row["signal"]))


def _changed(document: Document, **changes: Any) -> Document:
    return {**document, **changes}
