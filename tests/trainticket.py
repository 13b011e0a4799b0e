"""Nezha's TrainTicket data as cases: logs and spans of one-minute windows, each with a labelled fault.

The archive is public (MIT, IntelligentDDS/Nezha) and no part of the project: who needs it looks whether it is there.
"""

import csv
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ordertrace_rules.event import Event

ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "nezha-trainticket.tar.xz"


@dataclass(frozen=True, slots=True)
class Fault:
    """One labelled case: the window's name, the healthy window to compare with, what was broken and how."""

    window: str
    healthy: str
    service: str
    kind: str


class Archive:
    """The files of the archive, read once."""

    def __init__(self, path: Path = ARCHIVE) -> None:
        with tarfile.open(path) as archive:
            self._files = {
                member.name.split("/", 1)[-1]: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
                for member in archive
                if member.isfile()
            }

    def faults(self) -> list[Fault]:
        return [
            Fault(f"{case['day']}_{case['window']}", case["healthy"], case["service"], case["fault"])
            for case in json.loads(self._files["cases.json"])
        ]

    def affected(self, fault: Fault, *, spans: bool = True) -> list[Event]:
        return self._window(f"affected/{fault.window}", spans)

    def healthy(self, name: str, *, spans: bool = True) -> list[Event]:
        return self._window(f"healthy/{name}", spans)

    def _window(self, name: str, spans: bool) -> list[Event]:
        logs = list(_logs(self._files[f"{name}_log.csv"]))
        return [*logs, *_spans(self._files[f"{name}_trace.csv"])] if spans else logs


def _rows(text: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    return iter(csv.DictReader(io.StringIO(text)))


def _service(pod: str) -> str:
    return pod.rsplit("-", 2)[0]


def _logs(text: str) -> Iterator[Event]:
    for number, row in enumerate(_rows(text)):
        at = int(row["TimeUnixNano"])
        yield Event(
            id=f"log-{number}",
            timestamp=at,
            ingested=at,
            service=_service(row["PodName"]),
            trace_id=row["TraceID"],
            span_id=row["SpanID"],
            message=row["Log"],
        )


def _spans(text: str) -> Iterator[Event]:
    for number, row in enumerate(_rows(text)):
        at = int(row["StartTimeUnixNano"])
        yield Event(
            id=f"span-{number}",
            timestamp=at,
            ingested=at,
            kind="span",
            service=_service(row["PodName"]),
            trace_id=row["TraceID"],
            span_id=row["SpanID"],
            parent_id="" if row["ParentID"] == "root" else row["ParentID"],
            span_name=row["OperationName"],
            duration=int(row["Duration"]) * 1_000,
        )
