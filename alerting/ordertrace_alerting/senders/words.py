"""The few words that senders put around what a signal says."""

from ordertrace_alerting.vocabulary import Notification, Signal

LANGUAGES = ("en", "zh")

_WORDS: dict[str, dict[str, str]] = {
    "firing": {"en": "FIRING", "zh": "告警"},
    "resolved_status": {"en": "RESOLVED", "zh": "已恢复"},
    "withdrawn_status": {"en": "WITHDRAWN", "zh": "已撤回"},
    "still": {"en": "still", "zh": "仍未恢复"},
    "opened": {"en": "new", "zh": "新事件"},
    "grown": {"en": "more orders", "zh": "影响扩大"},
    "cause_changed": {"en": "another cause", "zh": "原因更新"},
    "verified": {"en": "now firm", "zh": "已证实"},
    "acknowledged": {"en": "acknowledged", "zh": "已认领"},
    "reopened": {"en": "again", "zh": "再次发生"},
    "resolved": {"en": "over", "zh": "已结束"},
    "withdrawn": {"en": "was no incident", "zh": "经核实不成立"},
    "critical": {"en": "critical", "zh": "严重"},
    "warning": {"en": "warning", "zh": "警告"},
    "info": {"en": "info", "zh": "提示"},
    "full_guide": {"en": "Full guide", "zh": "完整指南"},
    "cut": {"en": "Cut to fit.", "zh": "内容已截断。"},
    "more": {"en": "and {n} more", "zh": "另有 {n} 个"},
}


def word(name: str, language: str) -> str:
    """The word in `language`; a name that is not known stands for itself."""
    return _WORDS[name][language] if name in _WORDS else name


def status(signal: Signal, repeat: bool, language: str) -> str:
    """What stands in brackets before a title."""
    if signal.kind == "withdrawn":
        return word("withdrawn_status", language)
    if signal.status == "resolved":
        return word("resolved_status", language)
    still = f" · {word('still', language)}" if repeat else ""
    return word("firing", language) + still


def subject(notification: Notification, titles: list[str], language: str) -> str:
    """One line for all that a message tells: the first title and how many more there are."""
    first = notification.signals[0]
    more = f" ({word('more', language).format(n=len(titles) - 1)})" if len(titles) > 1 else ""
    return f"[{status(first, notification.repeat, language)}] {titles[0]}{more}"
