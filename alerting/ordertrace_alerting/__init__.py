"""Signals in, deliveries out: routing, grouping, an outbox that survives crashes, and senders.

Usable on its own: `alerting_config` reads a configuration, `Pipeline` runs it over an `AlertStore`.
"""
