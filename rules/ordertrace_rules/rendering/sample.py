"""A guide in which everything is there once: templates are tried on it before an incident needs them."""

from ordertrace_rules.vocabulary import Guide, Line, Section

_SECTIONS = (
    *("happened", "evidence", "cause", "cleared", "steps"),
    *("actions", "avoid", "over_when", "unknown", "orders"),
)


def sample_guide() -> Guide:
    text = {"en": "6 orders", "zh": "6 个订单"}
    line = Line(text, owner="support", href="https://example.com/orders/SO-1", log_lines=("a log line",))
    return Guide(
        incident="sample-1",
        playbook="sample",
        title=text,
        severity="warning",
        state="open",
        certainty="firm",
        made_at=0,
        sections=tuple(Section(name, text, (line,), numbered=name == "steps") for name in _SECTIONS),
        url="https://example.com/incidents/sample-1",
    )
