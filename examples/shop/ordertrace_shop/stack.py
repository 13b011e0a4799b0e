"""The whole scene: the rules service and the five services of the shop, each a process of its own."""

from dataclasses import dataclass
from pathlib import Path

from ordertrace_shop.processes import Processes

START = 45.0  # seconds that one stage of the start may take on a slow machine
SHIM = {
    "ORDERTRACE_HEARTBEAT_INTERVAL": "0.5",
    "ORDERTRACE_CAPTURE_LOGGING": "true",
    "ORDERTRACE_ORDER_ID_PATTERNS": r"SO-\d{8}-\d{5}",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs."""

    ordertrace: str
    storefront: str
    inventory: str
    carrier: str


def start(processes: Processes, configuration: Path, threads: int) -> Addresses:
    """Start everything; return once all of it listens. `threads` is how many orders are served at a time.

    Raises ProcessFailed.
    """
    _shop(processes, "carrier", threads)
    processes.start("ordertrace", "ordertrace_rules", ["--config", str(configuration), "serve"])
    ordertrace = processes.addresses("ordertrace", START)
    shim = {"ORDERTRACE_TRANSPORT": f"forward://{ordertrace['forward']}", **SHIM}
    carrier = processes.addresses("carrier", START)["http"]
    _shop(processes, "payment", threads, environment=shim)
    _shop(processes, "inventory", threads, environment=shim)
    _shop(processes, "wms", threads, "--carrier", carrier, environment=shim)
    peers = {name: processes.addresses(name, START)["http"] for name in ("payment", "inventory", "wms")}
    named = [word for name, url in peers.items() for word in (f"--{name}", url)]
    _shop(processes, "storefront", threads, *named, environment=shim)
    storefront = processes.addresses("storefront", START)["http"]
    return Addresses(ordertrace["http"], storefront, peers["inventory"], carrier)


def _shop(
    processes: Processes, name: str, threads: int, *peers: str, environment: dict[str, str] | None = None
) -> None:
    arguments = ["--data", str(processes.directory), "--threads", str(threads), *peers]
    processes.start(name, f"ordertrace_shop.{name}", arguments, environment)
