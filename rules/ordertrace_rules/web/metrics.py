"""`/metrics` for Prometheus, read from the service at the moment of the scrape. Each is in docs/metrics.md."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from ordertrace_alerting.silences import state_of
from ordertrace_alerting.tally import BUCKETS
from ordertrace_rules.clocks import known_differences
from ordertrace_rules.scheduler import Pulse
from ordertrace_rules.service import Service
from ordertrace_rules.spans.export import SpanTally
from ordertrace_rules.times import NS

SHOWN_STATES = ("open", "acknowledged")
Read = Callable[[Pulse], float]


def metrics_blueprint(service: Service) -> Blueprint:
    registry = CollectorRegistry()
    registry.register(ServiceCollector(service))
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint


class ServiceCollector(Collector):
    """Reads what the service counts anyway; it keeps no numbers of its own."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._schedule()
        yield from self._intake()
        yield from self._store()
        yield self._clocks()
        yield from self._incidents()
        deliveries = GaugeMetricFamily("ordertrace_deliveries", "Deliveries by state.", labels=["state"])
        for state, count in self._service.alerts.counts().items():
            deliveries.add_metric([state], count)
        yield deliveries
        yield from self._targets()
        yield from self._spans()

    def _spans(self) -> Iterator[Metric]:
        spans = self._service.spans
        tally = spans.tally if spans is not None else SpanTally()
        family = CounterMetricFamily(
            "ordertrace_journey_spans", "Spans of journeys that this process exported.", labels=["result"]
        )
        family.add_metric(["sent"], tally.sent)
        family.add_metric(["failed"], tally.failed)
        yield family
        lag = spans.lag() if spans is not None else 0
        yield GaugeMetricFamily(
            "ordertrace_journey_spans_lag_seconds", "How long due spans have waited.", lag
        )

    def _targets(self) -> Iterator[Metric]:
        """What this process sent, and which circuits are open for all of them."""
        alerts = self._service.alerts
        attempts = CounterMetricFamily(
            "ordertrace_delivery_attempts", "Attempts to deliver.", labels=["target", "result"]
        )
        for (target, result), count in alerts.tally.attempts().items():
            attempts.add_metric([target, result], count)
        yield attempts
        dead = CounterMetricFamily("ordertrace_dead_letters", "Deliveries given up.", labels=["target"])
        for target, count in alerts.tally.dead().items():
            dead.add_metric([target], count)
        yield dead
        latency = HistogramMetricFamily(
            "ordertrace_delivery_latency_seconds", "How long an attempt took.", labels=["target"]
        )
        for target, measured in alerts.tally.latencies().items():
            bounds = (*BUCKETS, float("inf"))
            counts = accumulate(measured.within[bound] for bound in bounds)
            buckets = [
                ("+Inf" if bound == float("inf") else str(bound), float(count))
                for bound, count in zip(bounds, counts, strict=True)
            ]
            latency.add_metric([target], buckets, measured.total)
        yield latency
        circuits = GaugeMetricFamily(
            "ordertrace_target_open", "1 where a target's circuit is open.", labels=["target"]
        )
        for state in alerts.store.targets():
            circuits.add_metric([state.name], int(state.open_since is not None))
        yield circuits
        now = self._service.clock.now()
        running = sum(state_of(silence, now) == "active" for silence in alerts.store.silences(now))
        yield GaugeMetricFamily("ordertrace_silences", "Silences that run.", running)

    def _schedule(self) -> Iterator[Metric]:
        pulses = {"tick": self._service.pulse, "deliveries": self._service.alert_pulse}
        if self._service.spans is not None:
            pulses["spans"] = self._service.span_pulse
        yield _counter("ordertrace_ticks", "Runs of a schedule.", pulses, lambda p: p.ticks)
        yield _counter("ordertrace_tick_failures", "Runs that raised.", pulses, lambda p: p.failures)
        yield _gauge(
            "ordertrace_last_tick_timestamp_seconds",
            "When a schedule last ran, in Unix time; 0 before its first run.",
            pulses,
            lambda p: p.last_tick_at or 0,
        )
        yield _gauge(
            "ordertrace_last_tick_duration_seconds",
            "How long the last run took.",
            pulses,
            lambda p: p.last_tick_seconds,
        )
        tick = self._service.pulse
        yield GaugeMetricFamily(
            "ordertrace_leading", "1 where this process ticks under the lease.", int(tick.leading)
        )
        yield GaugeMetricFamily(
            "ordertrace_failing_rules", "Rules that raised in the last tick.", len(tick.problems)
        )
        yield CounterMetricFamily("ordertrace_judged_events", "Events taken in by ticks.", tick.events)
        yield CounterMetricFamily(
            "ordertrace_orphan_events", "Events that led to no order when they came.", tick.orphans
        )

    def _intake(self) -> Iterator[Metric]:
        total = self._service.intake.tally.total
        results = {
            "new": total.new,
            "known": total.known,
            "dropped": total.dropped,
            "kept_aside": sum(total.kept_aside.values()),
        }
        family = CounterMetricFamily(
            "ordertrace_intake_records", "Records that came in, by what became of them.", labels=["result"]
        )
        for result, count in results.items():
            family.add_metric([result], count)
        yield family

    def _store(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "ordertrace_stored_events", "Events in the store.", self._service.store.count_events()
        )
        family = GaugeMetricFamily(
            "ordertrace_kept_aside_records",
            "Records kept aside because they could not be read.",
            labels=["reason"],
        )
        for reason, count in self._service.store.count_kept_aside().items():
            family.add_metric([reason], count)
        yield family

    def _clocks(self) -> Metric:
        family = GaugeMetricFamily(
            "ordertrace_clock_difference_seconds",
            "By how much at least one service's clock is behind another's.",
            labels=["behind", "ahead"],
        )
        for known in known_differences(self._service.store, self._service.clock.now()):
            family.add_metric([known.behind, known.ahead], known.least / NS)
        return family

    def _incidents(self) -> Iterator[Metric]:
        """Only what is open: closed incidents grow without end, and counting them would cost a scan."""
        incidents = [v.value for v in self._service.store.incidents_open()]
        counts = Counter((i.playbook, i.state) for i in incidents)
        members = Counter[str]()
        for incident in incidents:
            members[incident.playbook] += incident.open_count
        open_incidents = GaugeMetricFamily(
            "ordertrace_incidents", "Incidents that are not over.", labels=["playbook", "state"]
        )
        open_members = GaugeMetricFamily(
            "ordertrace_affected_subjects", "Orders (or services) in open incidents.", labels=["playbook"]
        )
        for playbook in self._service.catalogue.playbooks:
            for state in SHOWN_STATES:
                open_incidents.add_metric([playbook.id, state], counts[playbook.id, state])
            open_members.add_metric([playbook.id], members[playbook.id])
        yield open_incidents
        yield open_members


def _counter(name: str, text: str, pulses: dict[str, Pulse], read: Read) -> Metric:
    family = CounterMetricFamily(name, text, labels=["schedule"])
    for schedule, pulse in pulses.items():
        family.add_metric([schedule], read(pulse))
    return family


def _gauge(name: str, text: str, pulses: dict[str, Pulse], read: Read) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["schedule"])
    for schedule, pulse in pulses.items():
        family.add_metric([schedule], read(pulse))
    return family
