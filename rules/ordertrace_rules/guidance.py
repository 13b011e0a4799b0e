"""What a person does, as a playbook's author writes it: steps, what not to do, proposed actions."""

from collections.abc import Iterable, Mapping
from typing import Any

from ordertrace_rules.fields import LONGEST_TITLE, NAME, Field, Flag, Listing, Record, Sentence, String
from ordertrace_rules.vocabulary import GuideText, ProposedAction, Step

STEP = Record(
    (
        Field("do", Sentence(), "what to do, as an order to one person", required=True),
        Field("owner", NAME, "who does it", default=None),
    )
)

GUIDE = Record(
    (
        Field("summary", Sentence(), "what is known from experience, in a sentence or two", required=True),
        Field("steps", Listing(STEP, least=1), "what to do now, in this order", required=True),
        Field("avoid", Listing(Sentence()), "what not to do, though it looks like help", default=[]),
        Field("over_when", Sentence(), "how to know that it is over", required=True),
    ),
    hints={"text": "the sentence or two are “summary”", "do": "write it under “steps”"},
)

PROPOSED_ACTION = Record(
    (
        Field(
            "kind",
            String(choices=("manual_review", "notify_customer", "ticket", "degrade")),
            "what is done once a person approves",
            required=True,
        ),
        Field("title", Sentence(LONGEST_TITLE), "the button's text", required=True),
        Field(
            "safe",
            Flag(),
            "whether it may be done without a person, where the site lets safe ones be",
            default=False,
        ),
    )
)


def build_steps(steps: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(Step(step["do"], step["owner"] or "") for step in steps)


def build_actions(actions: Iterable[Mapping[str, Any]]) -> tuple[ProposedAction, ...]:
    return tuple(ProposedAction(**action) for action in actions)


def build_guide_text(values: Mapping[str, Any]) -> GuideText:
    return GuideText(
        summary=values["summary"],
        steps=build_steps(values["steps"]),
        avoid=values["avoid"],
        over_when=values["over_when"],
    )
