"""Many incidents at once as one message: how many of what, and the first of them by name."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ordertrace_alerting.vocabulary import Flush, Group, Signal, in_language

_NAMED = 20
_KINDS_OF_PROBLEM = 10
_ORDER = ("critical", "warning", "info")

_TITLE = {"en": "{n} incidents at once", "zh": "{n} 个事件集中出现"}
_LEAD = {
    "en": "So many came within a short time that they are told together. {firing} go on, {over} are over.",
    "zh": "短时间内事件过多,合并通知。{firing} 个未恢复,{over} 个已结束。",
}
_MORE = {"en": "and {n} more", "zh": "另有 {n} 个"}


def digest_signal(group: Group, flush: Flush) -> Signal:
    """One signal that stands for all those of `flush`; the same flush gives the same."""
    signals = sorted(flush.signals, key=lambda s: (_severity(s), s.status != "firing", s.at, s.id))
    firing = [s for s in signals if s.status == "firing"]
    numbers = {"n": len(signals), "firing": len(firing), "over": len(signals) - len(firing)}
    return Signal(
        id=f"digest-{group.id}:{flush.number}",
        incident=f"digest-{group.id[:8]}-{flush.number}",
        number=flush.number,
        kind="digest",
        status="report" if firing else "resolved",
        at=flush.at,
        labels={"severity": signals[0].labels.get("severity", ""), "digest": str(len(signals))},
        title=signals[0].title
        if len(signals) == 1
        else {language: text.format(**numbers) for language, text in _TITLE.items()},
        body={language: _body(signals, numbers, language) for language in _TITLE},
        payload={"incidents": [s.incident for s in signals], "signals": [s.id for s in signals]},
    )


def _body(signals: Sequence[Signal], numbers: Mapping[str, int], language: str) -> str:
    counted = Counter((s.labels.get("severity", ""), s.labels.get("playbook", "")) for s in signals)
    kinds = [
        f"- {n} × {' '.join(filter(None, names))}" for names, n in counted.most_common(_KINDS_OF_PROBLEM)
    ]
    named = [f"- {_line(s, language)}" for s in signals[:_NAMED]]
    if len(signals) > _NAMED:
        named.append(f"- {_MORE[language].format(n=len(signals) - _NAMED)}")
    return "\n".join([_LEAD[language].format(**numbers), "", *kinds, "", *named])


def _line(signal: Signal, language: str) -> str:
    """Its title and number; the title is text of rules, whose Markdown stays what it is in their own messages."""
    title = in_language(signal.title, language) or signal.incident
    return f"{title} ({signal.incident})"


def _severity(signal: Signal) -> int:
    name = signal.labels.get("severity", "")
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
