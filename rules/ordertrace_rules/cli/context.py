"""What every command is given: the settings, read when first asked for, and the parts opened from them."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ordertrace_alerting.store import AlertStore
from ordertrace_rules.catalogue import Catalogue
from ordertrace_rules.intake.intake import Intake
from ordertrace_rules.service import Service, open_alert_store, open_service, site_catalogue, site_intake
from ordertrace_rules.settings import Settings, load_settings
from ordertrace_rules.stores.opening import OpenStore, open_store
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
        opened = open_store(self.settings)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def open_alerts(self) -> Generator[AlertStore]:
        store = open_alert_store(self.settings)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def open_service(self) -> Generator[Service]:
        """Everything wired, with nothing started."""
        with open_service(self.settings) as service:
            yield service
