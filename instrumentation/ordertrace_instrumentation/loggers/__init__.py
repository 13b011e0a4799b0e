"""Loggers: what a service logs already keeps its format and gains the order's fields.

One module for each library, and only that module imports it. Each has `instrument() -> None`, which hooks the
library for the whole process (twice is as good as once), and `uninstrument() -> None`, which restores it.
`structlog_processor` and `loguru_patcher` are for a service that sets up its loggers itself.
"""
