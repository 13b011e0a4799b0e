"""A guide by templates: the HTML that is shipped, and what a site writes in its place.

A site's directory (setting `guide_templates`) may hold `guide.html`, `guide.md` and `guide.txt`, each for one form.
They are Jinja templates in a sandbox: they see the guide and nothing else. In HTML and Markdown every value is
escaped; in text what is invisible is dropped.
"""

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup
from markupsafe import escape as escape_html

from ordertrace_rules.errors import ConfigError, Problem
from ordertrace_rules.locales.catalogue import say
from ordertrace_rules.rendering import markdown
from ordertrace_rules.rendering.plain import plain
from ordertrace_rules.rendering.sample import sample_guide
from ordertrace_rules.rendering.text import render_text
from ordertrace_rules.rendering.visible import visible
from ordertrace_rules.times import format_instant
from ordertrace_rules.vocabulary import LANGUAGES, Guide, Line, Section, in_language

Form = Literal["html", "markdown", "text"]
FILES: dict[Form, str] = {"html": "guide.html", "markdown": "guide.md", "text": "guide.txt"}
SHIPPED = Path(__file__).parent / "templates"
WORDS = ("owner", "full_guide", "log_lines", "behind")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LineView:
    """A sentence as templates see it."""

    text: str
    owner: str
    href: str
    log_lines: tuple[str, ...]
    aside: bool


@dataclass(frozen=True, slots=True)
class SectionView:
    id: str
    title: str
    numbered: bool
    lines: tuple[LineView, ...]


@dataclass(frozen=True, slots=True)
class GuideView:
    """A guide in one language as templates see it; severity, state and certainty are words of that language."""

    incident: str
    playbook: str
    title: str
    severity: str
    state: str
    certainty: str
    made_at: str
    url: str
    sections: tuple[SectionView, ...]


class GuideTemplates:
    """Renders guides to HTML, Markdown and text, by the site's templates where there are any."""

    def __init__(self, directory: Path | None = None) -> None:
        """Read the site's templates. Raises ConfigError, with file and line, where one cannot be used."""
        self._directory = directory
        self._own = _own_files(directory)
        self._environments = {form: _environment(form, directory) for form in FILES}
        for form in self._own:
            self._try(form)

    def render(self, form: Form, guide: Guide, language: str, *, raw_lines: bool = True) -> str:
        """The guide in `form`; without `raw_lines` no raw log line is in it.

        A site's template that fails on this guide is logged, and the built-in form stands in for it.
        """
        shown = guide if raw_lines else _without_raw_lines(guide)
        if form in self._own:
            try:
                return self._fill(form, shown, language)
            except Exception as error:  # noqa: BLE001  whatever a template of the site does, the guide goes out
                problem = _problem(error, self._own[form])
                log.error("the built-in guide stands in for a template: %s", problem)
        if form == "markdown":
            return markdown.render_markdown(guide, language, raw_lines=raw_lines)
        if form == "text":
            return render_text(shown, language)
        return _SHIPPED_HTML.get_template(FILES["html"]).render(_context(shown, language))

    def _fill(self, form: Form, guide: Guide, language: str) -> str:
        return self._environments[form].get_template(FILES[form]).render(_context(guide, language))

    def _try(self, form: Form) -> None:
        """Fill it once for a guide that has everything: a misspelt name shows here, not in an incident."""
        try:
            for language in LANGUAGES:
                self._fill(form, sample_guide(), language)
        except Exception as error:  # noqa: BLE001  a template may fail with anything
            raise ConfigError([_problem(error, self._own[form])]) from None


def _own_files(directory: Path | None) -> dict[Form, Path]:
    if directory is None:
        return {}
    if not directory.is_dir():
        fix = "name a directory that holds guide.html, guide.md or guide.txt"
        raise ConfigError([Problem(str(directory), 0, "", "there is no such directory", fix)])
    own: dict[Form, Path] = {
        form: directory / name for form, name in FILES.items() if (directory / name).is_file()
    }
    if not own:
        fix = "put guide.html, guide.md or guide.txt into it, or leave guide_templates out"
        raise ConfigError([Problem(str(directory), 0, "", "it holds no template of a guide", fix)])
    return own


def _environment(form: Form, directory: Path | None) -> ImmutableSandboxedEnvironment:
    shipped = FileSystemLoader(SHIPPED)
    loader: BaseLoader = ChoiceLoader([FileSystemLoader(directory), shipped]) if directory else shipped
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=form == "html",
        finalize=_FINALIZE[form],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["link"] = _LINK[form]
    return environment


def _html_link(line: LineView) -> str:
    text = escape_html(visible(line.text))
    if not line.href.startswith(("https://", "http://")) and not _is_local(line.href):
        return text
    return Markup('<a href="{}">{}</a>').format(line.href, text)


def _is_local(href: str) -> bool:
    return href[:1] == "/" and href[:2] != "//"


def _markdown_link(line: LineView) -> str:
    return Markup(markdown.link(line.text, line.href) if line.href else markdown.escape(line.text))


def _text_link(line: LineView) -> str:
    return Markup(plain(line.text) + (f" {plain(line.href)}" if line.href else ""))


def _escaped_markdown(value: object) -> object:
    return markdown.escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _plain(value: object) -> object:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_FINALIZE: dict[Form, Callable[[object], object]] = {
    "html": visible,
    "markdown": _escaped_markdown,
    "text": _plain,
}
_LINK: dict[Form, Callable[[LineView], str]] = {
    "html": _html_link,
    "markdown": _markdown_link,
    "text": _text_link,
}
_SHIPPED_HTML = _environment("html", None)
BUILT_IN = GuideTemplates()


def _context(guide: Guide, language: str) -> dict[str, object]:
    words = {name: in_language(say(name), language) for name in WORDS}
    return {"guide": _view(guide, language), "language": language, "words": words}


def _view(guide: Guide, language: str) -> GuideView:
    certainty = "firm" if guide.certainty == "firm" else "unverified_word"
    return GuideView(
        incident=guide.incident,
        playbook=guide.playbook,
        title=in_language(guide.title, language),
        severity=in_language(say(guide.severity), language),
        state=in_language(say(guide.state), language),
        certainty=in_language(say(certainty), language),
        made_at=format_instant(guide.made_at),
        url=guide.url,
        sections=tuple(_section(section, language) for section in guide.sections),
    )


def _section(section: Section, language: str) -> SectionView:
    lines = tuple(_line(line, language) for line in section.lines)
    return SectionView(section.id, in_language(section.title, language), section.numbered, lines)


def _line(line: Line, language: str) -> LineView:
    return LineView(in_language(line.text, language), line.owner, line.href, line.log_lines, line.aside)


def _without_raw_lines(guide: Guide) -> Guide:
    def bare(lines: Sequence[Line]) -> tuple[Line, ...]:
        return tuple(replace(line, log_lines=()) for line in lines)

    return replace(guide, sections=tuple(replace(s, lines=bare(s.lines)) for s in guide.sections))


def _problem(error: Exception, file: Path) -> Problem:
    """Where in the site's template it went wrong."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == file]
    number = error.lineno if isinstance(error, TemplateSyntaxError) else frames[-1].lineno if frames else 0
    try:
        text = file.read_text(encoding="utf-8").splitlines()[(number or 1) - 1] if number else ""
    except (OSError, UnicodeDecodeError, IndexError):
        text = ""
    message = f"{type(error).__name__}: {error}"
    fix = "docs/guide.md lists what a template may use"
    return Problem(str(file), number or 0, text, message, fix)
