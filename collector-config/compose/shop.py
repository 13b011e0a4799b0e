"""The demo shop of docker-compose.yml: five services, a morning's orders, one promotion, then an order now and then.

Its services send their events where ORDERTRACE_TRANSPORT says. The carrier, which has no instrumentation, writes
plain text to carrier.log in the given directory, where the rules service reads it (see demo/ordertrace.yaml).
"""

import argparse
import itertools
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from ordertrace_shop import customers
from ordertrace_shop.customers import Placed
from ordertrace_shop.processes import Processes, ProcessFailed
from ordertrace_shop.stack import SHIM, START

CUSTOMERS = 24  # at a time, in the promotion
CALM_ORDERS, PROMOTION_ORDERS = 40, 160
THREADS = CUSTOMERS + 4
PAUSE = 10.0  # seconds between two orders after the promotion
PEERS = {"carrier": (), "payment": (), "inventory": (), "wms": ("carrier",)}
STOREFRONT = ("payment", "inventory", "wms")


def start(processes: Processes) -> str:
    """Start the five services; return the storefront's address. Raises ProcessFailed."""
    addresses: dict[str, str] = {}
    for name, peers in {**PEERS, "storefront": STOREFRONT}.items():
        arguments = ["--data", str(processes.directory), "--threads", str(THREADS)]
        for peer in peers:
            arguments += [f"--{peer}", addresses[peer]]
        shim = {**SHIM, "ORDERTRACE_TRANSPORT": os.environ["ORDERTRACE_TRANSPORT"]}
        processes.start(name, f"ordertrace_shop.{name}", arguments, None if name == "carrier" else shim)
        addresses[name] = processes.addresses(name, START)["http"]
    return addresses["storefront"]


def sell(processes: Processes, storefront: str, ready_file: Path) -> None:
    """Sell until the process is ended, or a service does: ProcessFailed."""

    def buy(title: str, wishes: list[customers.Wish], clients: int) -> None:
        placed: list[Placed] = []
        customers.shop(storefront, wishes, clients, placed.append)
        waiting = sum(order.status == "waiting_for_outbound" for order in placed)
        print(f"{title}: {len(placed)} orders, {waiting} of them waiting for outbound", flush=True)

    buy("an ordinary day", customers.calm(CALM_ORDERS), 1)
    buy("the promotion", customers.promotion(PROMOTION_ORDERS), CUSTOMERS)
    for wish in itertools.cycle(customers.calm(CALM_ORDERS)):
        processes.check()
        customers.shop(storefront, [wish], 1, lambda _: None)
        ready_file.touch()  # the health check looks how old it is
        time.sleep(PAUSE)


def leave(number: int, frame: object) -> NoReturn:
    sys.exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the demo shop until it is stopped.")
    parser.add_argument("directory", type=Path, help="databases, logs and events; kept over restarts")
    directory: Path = parser.parse_args().directory
    for left in directory.glob("*.ready.json"):
        left.unlink()
    signal.signal(signal.SIGTERM, leave)
    with Processes(directory) as processes:
        try:
            sell(processes, start(processes), directory / "selling")
        except ProcessFailed as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
