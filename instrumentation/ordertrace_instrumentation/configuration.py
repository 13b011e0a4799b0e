"""`configure`: the one call that a service makes."""

from collections.abc import Iterable
from os import PathLike
from typing import Literal

from ordertrace_instrumentation.capture import capture_logging as capture
from ordertrace_instrumentation.complaints import complain_once
from ordertrace_instrumentation.places import Given
from ordertrace_instrumentation.record import safe_text
from ordertrace_instrumentation.shim import configure_shim


def configure(
    service: str | None = None,
    *,
    namespace: str | None = None,
    transport: str | Iterable[str] | None = None,
    spool_dir: str | PathLike[str] | None = None,
    spool_max_bytes: int | None = None,
    spool_full: Literal["newest", "oldest"] | None = None,
    queue_max_records: int | None = None,
    order_id_patterns: str | Iterable[str] | None = None,
    order_id_from: Given | None = None,
    heartbeat_interval: float | None = None,
    trusted_hosts: str | Iterable[str] | None = None,
    trusted_peers: str | Iterable[str] | None = None,
    capture_logging: bool | None = None,
    field_allow: str | Iterable[str] | None = None,
    field_deny: str | Iterable[str] | None = None,
    field_hash: str | Iterable[str] | None = None,
    field_hash_key: str | None = None,
    max_message: int | None = None,
    max_label: int | None = None,
    forward_ca_file: str | PathLike[str] | None = None,
    forward_cert_file: str | PathLike[str] | None = None,
    forward_key_file: str | PathLike[str] | None = None,
    forward_server_name: str | None = None,
    forward_shared_key: str | None = None,
    forward_user: str | None = None,
    forward_password: str | None = None,
) -> None:
    """Set up the shim of this process; what is not given comes from the environment, else a default.

    A wrong setting is reported once on the logger `ordertrace` and its default used; nothing is raised. The
    same settings again change nothing; others end the instance and begin a new one. Forked children follow
    by themselves. docs/instrumentation.md lists the settings with their variables and units.
    """
    arguments = dict(locals())
    try:
        capture(configure_shim(arguments).settings.capture_logging)
    except Exception as error:  # noqa: BLE001 - a guest never stops its host from starting
        complain_once(f"ordertrace could not be set up: {safe_text(error)}")
