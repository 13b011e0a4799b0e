"""How the chats write text. What they would read as a mark becomes a sign that looks like it.

Of DingTalk, WeCom, Feishu and Teams, none documents an escape that holds for every mark and on every client. A
full-width sign shows the same text everywhere, is no mark anywhere, and mentions nobody.
"""

import html
import re

from ordertrace_alerting.senders.characters import harmless
from ordertrace_alerting.senders.markup import Dialect, safe_href

_LOOKALIKES = str.maketrans(
    {
        "*": "＊",
        "`": "ˋ",
        "~": "～",
        "|": "｜",
        "\\": "＼",
        "[": "［",
        "]": "］",
        "<": "＜",
        ">": "＞",
        "@": "＠",
        "\u2060": "",
    }
)
_OUTER_UNDERSCORE = re.compile(
    r"(?<!\w)_|_(?!\w)|(?<=_)_|_(?=_)"
)  # those inside a name stay: it can be copied
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK_MARK = re.compile(r"\s*(?:[#+\-=]|[0-9]+(?=[.)]\s))")
_BARE_LINK = re.compile(r"(?i)(?<=:)(?=//)|(?<=\bw)(?=ww\.)")
_WORD_JOINER = "\u2060"  # shows nothing, and keeps a bare address from becoming a link


def lookalike(text: str) -> str:
    """`text` without anything that a chat reads as a mark, a mention or a link."""
    shown = _OUTER_UNDERSCORE.sub("＿", harmless(text).translate(_LOOKALIKES))
    shown = _ENTITY.sub("＆", shown)
    return _BARE_LINK.sub(_WORD_JOINER, shown)


def slack_text(text: str) -> str:
    """The same for mrkdwn, where `&` is written as an entity."""
    return lookalike(text).replace("&", "&amp;")


def no_block(text: str) -> str:
    """A line's text that begins no heading, list or rule."""
    mark = _BLOCK_MARK.match(text)
    return text if mark is None else mark[0][:-1] + chr(ord(mark[0][-1]) + 0xFEE0) + text[mark.end() :]


def no_command(text: str) -> str:
    """The same, and no quick action: GitLab does what a line such as `/close` says."""
    begun = no_block(text)
    return "／" + begun.lstrip()[1:] if begun.lstrip().startswith("/") else begun


def _ticket_text(text: str) -> str:
    """The same, without the braces of Jira's macros."""
    return lookalike(text).translate({ord("{"): "｛", ord("}"): "｝"})


def _bold(text: str) -> str:
    return f"**{text}**"


def _link(text: str, href: str) -> str:
    return f"[{text}]({href})" if safe_href(href) else text


def _plain_link(text: str, href: str) -> str:
    return f"{text} ({href})" if safe_href(href) else text


def _html_link(text: str, href: str) -> str:
    return f'<a href="{html.escape(href)}">{text}</a>' if safe_href(href) else text


def _slack_link(text: str, href: str) -> str:
    return f"<{slack_address(href)}|{text}>" if safe_href(href) else text


def slack_address(href: str) -> str:
    return href.replace("&", "&amp;")


DINGTALK = Dialect(lookalike, _bold, _link, no_block, newline="  \n")  # a line break needs two spaces there
MARKDOWN = Dialect(lookalike, _bold, _link, no_block)
TEAMS = Dialect(lookalike, _bold, _link, no_block, newline="\n\n")
SLACK = Dialect(slack_text, lambda text: f"*{text}*", _slack_link, no_block)
PLAIN = Dialect(harmless, lambda text: text, _plain_link)
CAREFUL_PLAIN = Dialect(lookalike, lambda text: text, _plain_link)
TICKET = Dialect(_ticket_text, lambda text: text, _plain_link, no_command)
HTML = Dialect(lambda text: html.escape(harmless(text)), lambda text: f"<strong>{text}</strong>", _html_link)
