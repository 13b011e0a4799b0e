"""What every command is given: the settings, read when first asked for, and the parts opened from them."""

import os
from collections.abc import Generator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
from rich.console import Console

from ordertrace_alerting.store import AlertStore
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.errors import Conflict
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.service import Service, open_alert_store, open_service, site_catalogue, site_intake
from ordertrace_rules.settings import Settings, load_settings
from ordertrace_rules.stores.database import answering
from ordertrace_rules.stores.opening import OpenStore, open_store, require_store
from ordertrace_rules.stores.protocol import Store


@dataclass
class Context:
    """The object that click passes to every command."""

    config: Path | None

    @cached_property
    def settings(self) -> Settings:
        """Raises ConfigError with all that is wrong in the configuration."""
        return load_settings(self.config)

    def settings_with(self, host: str | None, port: int | None) -> Settings:
        """The settings with another address to listen on, checked as if it stood in the configuration."""
        given = {"ORDERTRACE_HOST": host, "ORDERTRACE_PORT": None if port is None else str(port)}
        return load_settings(self.config, {**os.environ, **{k: v for k, v in given.items() if v is not None}})

    @cached_property
    def catalogue(self) -> Catalogue:
        """The shipped and the site's processes and playbooks. Raises ConfigError."""
        return site_catalogue(self.settings)

    def intake(self, store: Store) -> Intake:
        """The intake as configured, into `store`."""
        return site_intake(self.settings, store)

    @contextmanager
    def open_store(self) -> Generator[OpenStore]:
        """The store, made where it is missing."""
        opened = open_store(self.settings)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def open_alerts(self) -> Generator[AlertStore]:
        """The outbox. Raises StoreUnavailable where there is no store yet, or where it takes nothing."""
        require_store(self.settings)
        with answering(self.settings.sqlite_path), closing(open_alert_store(self.settings)) as store:
            yield store

    @contextmanager
    def open_service(self) -> Generator[Service]:
        """Everything wired, with nothing started. Raises StoreUnavailable where there is no store yet."""
        require_store(self.settings)
        with open_service(self.settings) as service:
            yield service

    @contextmanager
    def open_current_service(self) -> Generator[Service]:
        """Everything wired, and what has come in judged: so that a question after `ingest` needs no `serve`.

        Where `serve` judges by other rules than ours, nothing is judged here: it would judge all of it again.
        """
        with self.open_service() as service:
            if service.engine.is_of_these_rules():
                console = Console(stderr=True)
                with console.status("judging what has come in …") if console.is_terminal else nullcontext():
                    _catch_up(service)
            yield service


def _catch_up(service: Service) -> None:
    try:
        report = service.engine.catch_up()
    except Conflict:
        return  # `serve` is at it, and writes the same
    for problem in report.problems:
        click.echo(f"ordertrace: a rule failed and was skipped: {problem}", err=True)
