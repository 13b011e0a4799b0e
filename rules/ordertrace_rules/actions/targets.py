"""Where actions are sent, as the setting `actions` says: a signed webhook for each kind that has a target."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ordertrace_alerting.errors import AlertConfigError, ConfigProblem
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.outline import Outline, Schema
from ordertrace_alerting.senders.webhook import WebhookOptions, WebhookSender, read_options
from ordertrace_alerting.vocabulary import Sender

MANUAL_REVIEW = "manual_review"  # needs no target: the queue is ours
SENT_KINDS = ("notify_customer", "ticket", "degrade")


@dataclass(frozen=True, slots=True)
class ActionRules:
    """`automatic`: actions that a playbook marks safe are done without a person."""

    automatic: bool = False
    targets: Mapping[str, WebhookOptions] = field(default_factory=dict[str, WebhookOptions])

    def can_do(self, kind: str) -> bool:
        return kind == MANUAL_REVIEW or kind in self.targets


def action_rules(data: Mapping[str, object]) -> ActionRules:
    """Read the setting. Raises AlertConfigError with every problem found."""
    problems: list[ConfigProblem] = []
    rules = _read(Fields(data, (), problems))
    if problems:
        raise AlertConfigError(problems)
    return rules


def actions_schema() -> Schema:
    """The setting's shape as JSON Schema."""
    outline = Outline()
    _read(outline)
    return outline.schema()


def action_senders(rules: ActionRules) -> dict[str, Sender]:
    """A sender for each target, by the name under which deliveries wait for it."""
    return {target_name(kind): WebhookSender(options) for kind, options in rules.targets.items()}


def target_name(kind: str) -> str:
    """No receiver's name: those hold no colon that routes could refer to by accident."""
    return f"action:{kind}"


def _read(fields: Fields) -> ActionRules:
    rules = ActionRules(
        automatic=fields.flag("automatic", False),
        targets={kind: _target(fields.below(kind)) for kind in SENT_KINDS if fields.raw(kind) is not None},
    )
    fields.finish()
    return rules


def _target(fields: Fields) -> WebhookOptions:
    options = read_options(fields)
    fields.finish()
    return options
