"""`event` and `link`: what a service says of an order on purpose."""

from collections.abc import Mapping

from opentelemetry import context as otel_context
from opentelemetry import trace

from ordertrace_instrumentation import vocabulary as ecs
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.context import (
    NO_ORDER,
    Scope,
    bind_for_good,
    clean_order_id,
    current_scope,
    current_stage,
)
from ordertrace_instrumentation.identity import order_trace_id
from ordertrace_instrumentation.patterns import find_order_id
from ordertrace_instrumentation.record import (
    MAX_MESSAGE,
    Record,
    add_fields,
    label_text,
    safe_text,
    safe_value,
)
from ordertrace_instrumentation.shim import Shim, current_shim


def event(
    action: str,
    /,
    *,
    outcome: str | None = None,
    reason: object = None,
    order_id: object = None,
    amount: object = None,
    currency: str | None = None,
    status: object = None,
    message: object = None,
    message_id: object = None,
    duration: int | None = None,
    refs: Mapping[str, object] | None = None,
    **labels: object,
) -> None:
    """Record that something happened: `event("payment.captured", outcome="success", payment_id="P-7")`.

    `action` is `object.verb_in_past`; `outcome` is success | failure | unknown; `order_id` overrides the
    order of the context; `status` is the order's status as this system sees it; `duration` is nanoseconds;
    `refs` are other systems' ids of the order, as are labels with the name of one (`payment_id`,
    `tracking_no`, …). Other labels become `labels.*`, dotted names are ECS fields. Never raises, never waits.
    """
    try:
        shim = current_shim()
        instant = shim.clock()
        record = shim.new_record(instant)
        record[ecs.EVENT_KIND] = "event"
        record[ecs.EVENT_ACTION] = safe_text(action)
        given = {
            ecs.EVENT_OUTCOME: outcome,
            ecs.EVENT_REASON: None if reason is None else safe_text(reason),
            ecs.ORDER_AMOUNT: amount,
            ecs.ORDER_CURRENCY: currency,
            ecs.ORDER_STATUS: None if status is None else safe_text(status),
            ecs.MESSAGE_ID: None if message_id is None else safe_text(message_id),
            ecs.EVENT_DURATION: duration,
        }
        for name, value in given.items():
            if value is not None:
                record[name] = safe_value(value)
        if message is not None:
            record[ecs.MESSAGE] = safe_text(message, MAX_MESSAGE)
        for kind, value in (refs or {}).items():
            if value is not None:
                record[ecs.ORDER_REFS + safe_text(kind)] = label_text(value)
        add_fields(record, labels)
        complete(shim, record, order_id)
        shim.ship(record, instant)
    except Exception as error:  # noqa: BLE001 - a guest never raises into business code
        count_failure(error)


def link(*, order_id: object = None, **refs: object) -> None:
    """Teach that this order is known elsewhere by another id: `link(payment_id="P-7")`.

    Later records of this order in this context carry `order.refs.*`, and one record is written at once.
    `order_id` names an order other than the context's; its refs go into the one record only. Never raises.
    """
    try:
        known = {safe_text(kind): label_text(value) for kind, value in refs.items() if value is not None}
        if not known:
            return
        scope = current_scope()
        if scope.order_id and order_id is None:
            scope.add_refs(known)
        shim = current_shim()
        instant = shim.clock()
        record = shim.new_record(instant)
        record[ecs.EVENT_KIND] = "event"
        record[ecs.MESSAGE] = "linked " + ", ".join(f"{kind} {value}" for kind, value in known.items())
        record.update({ecs.ORDER_REFS + kind: value for kind, value in known.items()})
        complete(shim, record, order_id)
        shim.ship(record, instant)
    except Exception as error:  # noqa: BLE001
        count_failure(error)


def adopt_order(order_id: object, /) -> None:
    """Say that the code that runs works on this order from here on: `adopt_order(order.number)`.

    For the request that places an order, whose number exists only in its middle: later records of the request
    carry it, in its threads and tasks too, until its response is finished. One record ties the trace of the
    earlier ones to the order, so that they join it. Within `order(…)` that block's order changes; where no order
    and no request is bound, the order is bound until the context (thread, task) ends. Never raises.
    """
    try:
        adopted = clean_order_id(order_id)
        if not adopted:
            return
        scope = current_scope()
        if scope is NO_ORDER:
            bind_for_good(adopted)
        else:
            root(scope, adopted)
    except Exception as error:  # noqa: BLE001
        count_failure(error)


def root(scope: Scope, order_id: str) -> None:
    """Make `order_id` the scope's order; write the record that earlier ones join by, if there were any."""
    if scope.order_id == order_id:
        return
    orphaned = "" if scope.order_id else scope.orphaned
    scope.adopt(order_id)
    if not orphaned:
        return
    shim = current_shim()
    if orphaned == order_trace_id(order_id, shim.settings.namespace):
        return  # joins by itself
    instant = shim.clock()
    record = shim.new_record(instant)
    record[ecs.EVENT_KIND] = "event"
    record[ecs.MESSAGE] = f"trace {orphaned} belongs to the order"
    record[ecs.ORDER_ID] = order_id
    record[ecs.TRACE_REF] = orphaned
    if orphaned != scope.trace_id:
        record[ecs.REQUEST_REF] = scope.trace_id
    complete(shim, record)
    shim.ship(record, instant)


def complete(shim: Shim, record: Record, order_id: object = None) -> None:
    """Add the order, its refs and labels, the stage and the trace to a record that lacks them.

    The order is the one given, else the record's own `order.id`, else the context's, else the one that a
    pattern finds in the record's texts.
    """
    scope = current_scope()
    said = record.pop(ecs.ORDER_ID, None)
    given = ""
    if order_id is not None or said is not None:
        given = clean_order_id(order_id) or clean_order_id(said)
    add_order(
        record, given or scope.order_id or find_order_id(record, shim.settings.order_id_patterns), scope
    )
    stage = current_stage()
    if stage:
        record.setdefault(ecs.ORDER_STAGE, stage)
    add_trace(record, shim.settings.namespace, scope)


def add_order(record: Record, order_id: str, scope: Scope) -> None:
    """Put `order_id` into the record and, where it is the scope's own order, the scope's refs and labels."""
    if order_id:
        record[ecs.ORDER_ID] = order_id
    if order_id == scope.order_id and (scope.refs or scope.labels):
        for name, value in scope.fields().items():
            record.setdefault(name, value)


def add_trace(record: Record, namespace: str, scope: Scope) -> None:
    """Add `order.trace_id`, and the trace of an active OpenTelemetry span, else the order's own, else the scope's.

    A request that knows no order yet is named too, where the span's trace doesn't name it.
    """
    order_id = record.get(ecs.ORDER_ID, "")
    own = order_trace_id(order_id, namespace) if order_id else ""
    if own:
        record[ecs.ORDER_TRACE_ID] = own
    if ecs.TRACE_ID not in record:
        context = otel_context.get_current()  # empty where nothing traces: then nothing is asked of it
        span = trace.get_current_span(context).get_span_context() if context else trace.INVALID_SPAN_CONTEXT
        if span.is_valid:
            record[ecs.TRACE_ID] = format(span.trace_id, "032x")
            record[ecs.PARENT_ID if span.is_remote else ecs.SPAN_ID] = format(span.span_id, "016x")
        elif own or scope.trace_id:
            record[ecs.TRACE_ID] = own or scope.trace_id
    if not own and scope.trace_id:
        scope.orphaned = record[ecs.TRACE_ID]
        if scope.orphaned != scope.trace_id:  # a span may be around many requests: it is no sign of this one
            record[ecs.REQUEST_REF] = scope.trace_id


def count_failure(error: Exception) -> None:
    """Count a record that could not be made, and say why, once."""
    try:
        current_shim().losses.count("record_failed")
        complain_once(f"a record could not be made: {safe_text(error)}")
    except Exception:  # noqa: BLE001
        pass
