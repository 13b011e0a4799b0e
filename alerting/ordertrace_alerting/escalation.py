"""Who else is called when nobody takes an incident in hand."""

from dataclasses import replace

from ordertrace_alerting.durations import format_duration
from ordertrace_alerting.vocabulary import Signal

_SAID = {"en": "Nobody has acknowledged this for {time}: {title}", "zh": "已 {time} 无人认领:{title}"}


def unacknowledged(signal: Signal, delay: int) -> Signal:
    """The signal as those are told who are called after `delay` nanoseconds; what is in hand or over, as it is."""
    if signal.status != "firing" or signal.is_acknowledged:
        return signal
    time = format_duration(delay)
    title = {
        language: _SAID.get(language, _SAID["en"]).format(time=time, title=text)
        for language, text in signal.title.items()
    }
    return replace(signal, title=title)
