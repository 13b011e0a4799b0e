"""OpenTelemetry instrumentors, found by `opentelemetry-instrument` through their entry points. Only this module imports
`opentelemetry.instrumentation`."""

from collections.abc import Collection
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from ordertrace_instrumentation.autostart import ship_what_is_logged
from ordertrace_instrumentation.integrations import INTEGRATIONS, instrument_one, uninstrument_one


class OrderInstrumentor(BaseInstrumentor):
    """Hooks one library, once it is imported; a library that is missing, too old or disabled is left alone."""

    integration: ClassVar[str]

    def instrumentation_dependencies(self) -> Collection[str]:
        requires = INTEGRATIONS[self.integration].requires
        return (requires,) if requires else ()

    def _instrument(self, **kwargs: Any) -> None:
        instrument_one(self.integration)

    def _uninstrument(self, **kwargs: Any) -> None:
        uninstrument_one(self.integration)


class LoggingInstrumentor(OrderInstrumentor):
    """With a transport set, what is logged is shipped too."""

    integration = "logging"

    def _instrument(self, **kwargs: Any) -> None:
        super()._instrument(**kwargs)
        ship_what_is_logged()


class FlaskInstrumentor(OrderInstrumentor):
    integration = "flask"


class RequestsInstrumentor(OrderInstrumentor):
    integration = "requests"


class DjangoInstrumentor(OrderInstrumentor):
    integration = "django"


class StarletteInstrumentor(OrderInstrumentor):
    integration = "starlette"


class HttpxInstrumentor(OrderInstrumentor):
    integration = "httpx"


class AiohttpInstrumentor(OrderInstrumentor):
    integration = "aiohttp"


class PikaInstrumentor(OrderInstrumentor):
    integration = "pika"


class KombuInstrumentor(OrderInstrumentor):
    integration = "kombu"


class CeleryInstrumentor(OrderInstrumentor):
    integration = "celery"


class KafkaPythonInstrumentor(OrderInstrumentor):
    integration = "kafka_python"


class ConfluentKafkaInstrumentor(OrderInstrumentor):
    integration = "confluent_kafka"


class ThreadsInstrumentor(OrderInstrumentor):
    integration = "threads"


class StructlogInstrumentor(OrderInstrumentor):
    integration = "structlog"


class LoguruInstrumentor(OrderInstrumentor):
    integration = "loguru"


class EcsLoggingInstrumentor(OrderInstrumentor):
    integration = "ecs_logging"


class JsonLoggerInstrumentor(OrderInstrumentor):
    integration = "json_logger"


class FluentInstrumentor(OrderInstrumentor):
    integration = "fluent"


class SpanInstrumentor(OrderInstrumentor):
    integration = "opentelemetry"
