"""The guide on a terminal."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text as Styled

from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.vocabulary import Guide, Line, Severity, in_language

_STYLES: dict[Severity, str] = {"critical": "bold red", "warning": "bold yellow", "info": "bold blue"}


def print_guide(guide: Guide, language: str, console: Console) -> None:
    """Print the guide with raw log lines and links. Nothing in an order's data reaches the terminal as control."""
    console.print(Styled(plain(in_language(guide.title, language)), style=_STYLES[guide.severity]))
    words = (guide.severity, guide.state, "firm" if guide.certainty == "firm" else "unverified_word")
    said = " · ".join(in_language(say(word), language) for word in words)
    incident = f"{in_language(say('incident'), language)} {plain(guide.incident)} · {said}"
    console.print(Styled(incident, style="dim"))
    for section in guide.sections:
        console.print()
        console.print(Styled(in_language(section.title, language), style="bold"))
        for place, line in enumerate(section.lines, start=1):
            _print_line(line, f"{place}. " if section.numbered else "- ", language, console)
    if guide.url:
        console.print()
        console.print(Styled(f"{in_language(say('full_guide'), language)}: {plain(guide.url)}", style="cyan"))


def _print_line(line: Line, mark: str, language: str, console: Console) -> None:
    text = Styled(mark + plain(in_language(line.text, language)))
    if line.owner:
        text.append(f" ({in_language(say('owner'), language)}: {plain(line.owner)})", style="green")
    console.print(Padding(text, (0, 0, 0, 2)))
    for log_line in line.log_lines:
        console.print(Padding(Styled(plain(log_line), style="dim"), (0, 0, 0, 6)))
    if line.href:
        console.print(Padding(Styled(plain(line.href), style="cyan"), (0, 0, 0, 6)))
