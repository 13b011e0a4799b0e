"""What people say of an incident afterwards, and how often each playbook was right by that.

It stands on the incident: one word of each person, the latest last, and the latest one counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ordertrace_rules.errors import OrdertraceError
from ordertrace_rules.incident_change import change_incident
from ordertrace_rules.stores.paging import incidents_since
from ordertrace_rules.stores.protocol import Store, Views
from ordertrace_rules.vocabulary import FEEDBACK_VERDICTS, Feedback, FeedbackVerdict, Incident, Playbook

LONGEST_NOTE = 1_000  # characters
LONGEST_NAME = 100  # of a person, of a service


@dataclass(frozen=True, slots=True)
class PlaybookStats:
    """How a playbook did in a span of time: `fired` counts its incidents, one for each episode."""

    playbook: str
    fired: int = 0
    open: int = 0
    withdrawn: int = 0
    right: int = 0
    wrong_cause: int = 0
    not_a_problem: int = 0

    @property
    def judged(self) -> int:
        return self.right + self.wrong_cause + self.not_a_problem

    @property
    def precision(self) -> float | None:
        """The share of the judged that were right, cause and all; None where nobody has said anything."""
        return self.right / self.judged if self.judged else None


def checked_feedback(verdict: object, by: object, at: int, cause: object = "", note: object = "") -> Feedback:
    """Feedback from what a form, a program or a command line gave. Raises OrdertraceError, which names the field."""
    known: FeedbackVerdict | None = next((each for each in FEEDBACK_VERDICTS if each == verdict), None)
    if known is None:
        raise OrdertraceError(f"verdict: one of {', '.join(FEEDBACK_VERDICTS)}, not {str(verdict)[:40]!r}")
    named = _one_line("cause", cause, LONGEST_NAME)
    if named and known != "wrong_cause":
        raise OrdertraceError("cause: it goes with wrong_cause, where it names the service that it was")
    return Feedback(
        verdict=known,
        by=_one_line("by", by, LONGEST_NAME, needed=True),
        at=at,
        cause=named,
        note=_one_line("note", note, LONGEST_NOTE),
    )


def give_feedback(store: Store, incident: str, feedback: Feedback) -> Incident:
    """Keep it on the incident, in place of what the same person said before. Raises OrdertraceError."""

    def with_feedback(old: Incident) -> Incident:
        others = (each for each in old.feedback if each.by != feedback.by)
        return replace(old, feedback=(*others, feedback))

    return change_incident(store, incident, with_feedback, feedback.at)


def playbook_stats(views: Views, playbooks: Sequence[Playbook], since: int) -> list[PlaybookStats]:
    """For each playbook that is loaded or fired: its incidents detected since then, counted anew. By name."""
    stats = {playbook.id: PlaybookStats(playbook.id) for playbook in playbooks}
    for incident in incidents_since(views, since):
        stats[incident.playbook] = _counted(
            stats.get(incident.playbook) or PlaybookStats(incident.playbook), incident
        )
    return [stats[name] for name in sorted(stats)]


def _counted(stats: PlaybookStats, incident: Incident) -> PlaybookStats:
    said: FeedbackVerdict | None = incident.feedback[-1].verdict if incident.feedback else None
    return replace(
        stats,
        fired=stats.fired + 1,
        open=stats.open + incident.is_open,
        withdrawn=stats.withdrawn + (incident.state == "withdrawn"),
        right=stats.right + (said == "right"),
        wrong_cause=stats.wrong_cause + (said == "wrong_cause"),
        not_a_problem=stats.not_a_problem + (said == "not_a_problem"),
    )


def _one_line(name: str, given: object, longest: int, *, needed: bool = False) -> str:
    text = " ".join(given.split()) if isinstance(given, str) else ""
    if given and not isinstance(given, str):
        raise OrdertraceError(f"{name}: a text is needed")
    if (needed and not text) or len(text) > longest or not text.isprintable():
        least = 1 if needed else 0
        raise OrdertraceError(f"{name}: one line of {least} to {longest} characters that show")
    return text
