"""The guide as JSON data, for the API and webhook payloads."""

from typing import Any

from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import Guide, Line, Section


def guide_document(guide: Guide) -> dict[str, Any]:
    """Plain data: instants as RFC 3339, texts by language; values as they are, for programs escape themselves."""
    return {
        "incident": guide.incident,
        "playbook": guide.playbook,
        "title": dict(guide.title),
        "severity": guide.severity,
        "state": guide.state,
        "certainty": guide.certainty,
        "made_at": format_instant(guide.made_at),
        "url": guide.url,
        "sections": [_section(section) for section in guide.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "id": section.id,
        "title": dict(section.title),
        "numbered": section.numbered,
        "lines": [_line(line) for line in section.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "text": dict(line.text),
        "owner": line.owner,
        "href": line.href,
        "log_lines": list(line.log_lines),
    }
