"""The first line of an order's page: where it is, since when, why, how many others, who does what now."""

from ordertrace_rules.trace import Affliction, Trace, TracedStage
from ordertrace_rules.vocabulary import Journey, in_language
from ordertrace_rules.web.language import duration_text, say, time_text


def order_sentence(trace: Trace, language: str) -> str:
    """The answer in one to four short sentences."""
    journey = trace.main.journey
    parts = [_where(trace, journey, language)]
    affliction = next((a for a in trace.afflictions if a.member.state == "open"), None)
    if affliction is not None:
        parts += [
            _why(affliction, language),
            _others(affliction, language),
            _who(trace, affliction, language),
        ]
    elif trace.main.current is not None and trace.main.current.overdue:
        parts.append(say(language, "order.no_incident"))
    return ("" if language == "zh" else " ").join(part for part in parts if part)


def _where(trace: Trace, journey: Journey, language: str) -> str:
    if journey.set_aside:
        return say(language, "order.set_aside", order=trace.order_id)
    if journey.ended_at is not None:
        key = "order.cancelled" if journey.ended_by.endswith(".cancelled") else "order.ended"
        at = time_text(journey.ended_at, trace.now)
        return say(language, key, order=trace.order_id, at=at, action=journey.ended_by)
    stage = trace.main.current
    if stage is None:
        return say(language, "order.not_begun", order=trace.order_id)
    return _standing(trace, stage, language)


def _standing(trace: Trace, stage: TracedStage, language: str) -> str:
    title = in_language(stage.stage.waiting_title, language) or say(
        language, "order.in_stage", stage=in_language(stage.stage.title, language)
    )
    since = stage.state.started_at
    if since is None:
        return say(language, "order.next", order=trace.order_id, title=title)
    values = {
        "order": trace.order_id,
        "title": title,
        "at": time_text(since, trace.now),
        "for": duration_text(trace.now - since, language),
    }
    if stage.overdue and stage.state.deadline is not None:
        over = duration_text(trace.now - stage.state.deadline, language)
        return say(language, "order.standing_overdue", **values, over=over)
    return say(language, "order.standing", **values)


def _why(affliction: Affliction, language: str) -> str:
    if affliction.member.certainty == "unverified":
        services = ", ".join(affliction.member.missing) or "?"
        return say(language, "order.unverified", services=services)
    diagnosis = affliction.incident.diagnosis
    if diagnosis is not None and diagnosis.cause is not None:
        return in_language(diagnosis.cause.summary, language)
    return say(language, "order.verdict", verdict=in_language(affliction.playbook.verdict, language))


def _others(affliction: Affliction, language: str) -> str:
    others = affliction.incident.open_count - 1
    if others <= 0:
        return say(language, "order.alone")
    return say(language, "order.other" if others == 1 else "order.others", count=f"{others:,}")


def _who(trace: Trace, affliction: Affliction, language: str) -> str:
    by = affliction.incident.acknowledged_by
    if by:
        return say(language, "order.acknowledged", by=by)
    stage = trace.main.current
    owner = affliction.playbook.owner or (stage.stage.owner if stage else "")
    return say(language, "order.owner", owner=owner) if owner else ""
