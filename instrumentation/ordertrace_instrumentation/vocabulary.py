"""The names that travel between the systems: Elastic Common Schema fields and the actions of an order's life.

Fields are written dotted here; on input a nested object and a dotted key mean the same.
"""

from typing import Final

TIMESTAMP: Final = "@timestamp"
MESSAGE: Final = "message"
LOG_LEVEL: Final = "log.level"
LOG_LOGGER: Final = "log.logger"
SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
SERVICE_TARGET_NAME: Final = "service.target.name"
EVENT_ID: Final = "event.id"
EVENT_ACTION: Final = "event.action"
EVENT_OUTCOME: Final = "event.outcome"
EVENT_REASON: Final = "event.reason"
EVENT_DURATION: Final = "event.duration"
EVENT_SEQUENCE: Final = "event.sequence"
EVENT_INGESTED: Final = "event.ingested"
EVENT_KIND: Final = "event.kind"
SPAN_NAME: Final = "span.name"
SPAN_ID: Final = "span.id"
PARENT_ID: Final = "parent.id"
TRACE_ID: Final = "trace.id"
ERROR_TYPE: Final = "error.type"
ERROR_MESSAGE: Final = "error.message"
ERROR_STACK_TRACE: Final = "error.stack_trace"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_DESTINATION: Final = "messaging.destination.name"
MESSAGE_CONSUMER_GROUP: Final = "messaging.consumer.group.name"
ORDER_ID: Final = "order.id"
ORDER_TRACE_ID: Final = "order.trace_id"
ORDER_STAGE: Final = "order.stage"  # of `stage(...)`: where the code that speaks stands
ORDER_STATUS: Final = "order.status"
ORDER_AMOUNT: Final = "order.amount"
ORDER_CURRENCY: Final = "order.currency"
ORDER_REFS: Final = "order.refs."  # a prefix: order.refs.payment_id
REQUEST_REF: Final = "order.refs.request"  # of a request that knew no order yet, where its trace is another's
TRACE_REF: Final = "order.refs.trace"  # a `trace.id` whose records without an order belong to this one
LABELS: Final = "labels."  # a prefix: labels.sku

REF_KINDS: Final[frozenset[str]] = frozenset(
    ("payment_id", "reservation_id", "shipment_id", "tracking_no", "rma_id", "refund_id", "invoice_id")
)
"""Names that a log call or a label may use for another system's id: they become `order.refs.<name>`."""

HEARTBEAT: Final = "heartbeat"  # event.action of the shim's sign of life, event.kind "metric"
HEARTBEAT_INTERVAL: Final = "ordertrace.heartbeat.interval"  # seconds
HEARTBEAT_PHASE: Final = "ordertrace.heartbeat.phase"  # start | alive | goodbye
LOST: Final = "ordertrace.lost."  # a prefix, cumulative since the instance began: ordertrace.lost.queue_full

ACTIONS: Final[tuple[str, ...]] = (
    "order.placed",
    "order.cancelled",
    "payment.captured",
    "payment.failed",
    "inventory.reserved",
    "inventory.reserve_failed",
    "inventory.released",
    "inventory.reallocated",
    "wms.received",
    "wms.rejected",
    "wms.shorted",
    "wms.picked",
    "wms.packed",
    "label.printed",
    "label.print_failed",
    "shipment.handed_over",
    "shipment.collected",
    "shipment.scanned",
    "delivery.attempted",
    "delivery.deposited",
    "delivery.signed",
    "return.requested",
    "return.approved",
    "return.shipped",
    "return.received",
    "return.inspected",
    "refund.instructed",
    "refund.cancelled",
    "refund.paid",
    "refund.failed",
    "message.published",
    "message.consumed",
    "message.failed",
    HEARTBEAT,
)
"""What ordertrace itself understands, as `object.verb_in_past`. Open: a site adds its own."""
