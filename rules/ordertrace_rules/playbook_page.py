"""A playbook as a page of documentation: when it speaks, what its guide says in both languages, what it depends on."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.times import format_duration
from ordertrace_rules.vocabulary import Escalation, Playbook, Step, Text, in_language

_HEADINGS = {
    "en": ("What the guide says", "Known causes", "Actions that a person may approve"),
    "zh": ("指南内容", "已知原因", "可由人工批准的动作"),
}


def playbook_page(playbook: Playbook, catalogue: Catalogue) -> str:
    """Markdown, from the playbook as it is loaded and the text of its file; ends with a newline."""
    return "\n".join((*_head(playbook, catalogue), *_speaks(playbook), *_guide(playbook))) + "\n"


def _head(playbook: Playbook, catalogue: Catalogue) -> Iterator[str]:
    yield f"# `{playbook.id}`: {in_language(playbook.title, 'en')}"
    yield ""
    yield f"{in_language(playbook.title, 'zh')} · {in_language(playbook.verdict, 'zh')}"
    yield ""
    yield "| | |"
    yield "|---|---|"
    explained = [p.id for p in catalogue.playbooks if playbook.id in p.depends_on]
    process = catalogue.processes[playbook.process]
    rows = (
        ("Verdict", in_language(playbook.verdict, "en")),
        ("Severity", "; ".join((playbook.severity, *(_louder(each) for each in playbook.escalations)))),
        ("Process", _codes([process.id]) + (f", stage {_codes([playbook.stage])}" if playbook.stage else "")),
        ("Told to", playbook.owner),
        ("Accused first", _codes(playbook.suspects)),
        ("Excused by", _codes((*playbook.unless, *process.ends))),
        ("Explained by", _links(playbook.depends_on)),
        ("Explains", _links(sorted(explained))),
        ("One incident for each", _codes(playbook.group_by)),
    )
    yield from (f"| {name} | {said} |" for name, said in rows if said)


def _speaks(playbook: Playbook) -> Iterator[str]:
    yield from ("", "## When it speaks", "", "```yaml", _block(playbook, "when"), "```")
    if playbook.diagnose:
        yield from ("", "Which cause it names:", "", "```yaml", _block(playbook, "diagnose"), "```")


def _guide(playbook: Playbook) -> Iterator[str]:
    for language, (guide, causes, actions) in _HEADINGS.items():
        guidance = playbook.guide
        yield from ("", f"## {guide}", "", in_language(guidance.summary, language), "")
        yield from _steps(guidance.steps, playbook.owner, language)
        yield from _section(say("section_avoid"), guidance.avoid, language)
        yield from _section(say("section_over_when"), (guidance.over_when,), language)
        if playbook.causes:
            yield from ("", f"### {causes}")
        for cause in playbook.causes.values():
            yield from ("", f"**{in_language(cause.title, language)}** (`{cause.id}`)", "")
            yield from _steps(cause.steps, cause.owner or playbook.owner, language)
            avoid = in_language(say("section_avoid"), language)
            yield from (f"- {avoid}: {in_language(text, language)}" for text in cause.avoid)
        if playbook.actions:
            yield from ("", f"### {actions}", "")
            yield from (f"- {in_language(a.title, language)} (`{a.kind}`)" for a in playbook.actions)


def _steps(steps: Sequence[Step], owner: str, language: str) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield f"{number}. {in_language(step.do, language)} *{step.owner or owner}*"


def _section(title: Text, texts: Iterable[Text], language: str) -> Iterator[str]:
    found = [f"- {in_language(text, language)}" for text in texts]
    if found:
        yield from ("", f"### {in_language(title, language)}", "", *found)


def _block(playbook: Playbook, field: str) -> str:
    """A field of the file as it is written, with the comment above it."""
    text = Path(playbook.file).read_text(encoding="utf-8")
    found = re.search(rf"^(?:#.*\n)*{field}:.*\n(?:(?:[ \t].*)?\n)*", text, re.M)
    return found[0].rstrip() if found else ""


def _louder(escalation: Escalation) -> str:
    amount = f"{escalation.amount:,.0f} {escalation.currency}" if escalation.amount else ""
    reasons = (
        f"{escalation.count} cases" if escalation.count else "",
        amount,
        f"{format_duration(escalation.age)} old" if escalation.age else "",
    )
    return f"{escalation.to} from {' and '.join(filter(None, reasons))}"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"[`{name}`]({name}.md)" for name in names)
