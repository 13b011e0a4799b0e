"""Where a webhook may connect to: the guard against server-side request forgery.

An address that a user wrote may name, or come to name, a machine inside the network. The name is resolved
once, every address is judged, and the connection goes to an address that was judged, so that a second answer
of the name server changes nothing.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]
"""Host name and port to the numeric addresses; raises OSError where there are none."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddress(Exception):
    """The name leads to an address that this receiver may not reach; the text says which."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, in the system's order of preference. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def allowed_addresses(
    host: str, port: int, *, allow_private: bool, resolve: Resolve, seconds: float
) -> list[str]:
    """The addresses of `host`, all of which may be reached.

    Raises RefusedAddress, TimeoutError where the name server takes longer than `seconds`, or OSError.
    """
    addresses = _in_time(resolve, host, port, seconds)
    for address in addresses:
        kind = _refused_kind(ipaddress.ip_address(address.partition("%")[0]), allow_private)
        if kind:
            way_out = "" if allow_private else "; set allow_private: true on the receiver if that is meant"
            raise RefusedAddress(f"{host} leads to {address}, {kind}{way_out}")
    return addresses


def _in_time(resolve: Resolve, host: str, port: int, seconds: float) -> list[str]:
    """The system's resolver knows no time-out, so it is asked in a thread, which is left behind where it hangs."""
    found: list[list[str]] = []
    failures: list[Exception] = []

    def ask() -> None:
        try:
            found.append(resolve(host, port))
        except Exception as error:  # noqa: BLE001  it is raised where it was asked for
            failures.append(error)

    thread = threading.Thread(target=ask, name="alerting-resolve", daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if failures:
        raise failures[0]
    if not found:
        raise TimeoutError(f"the name server did not answer for {host}")
    return found[0]


def _refused_kind(address: Address, allow_private: bool) -> str:
    address = _inner(address)
    if address.is_unspecified or address.is_multicast:
        return "which is no machine's address"
    public = address.is_global and not address.is_reserved and not getattr(address, "is_site_local", False)
    return "" if allow_private or public else "which is not a public address"


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address wraps, by mapping, 6to4 or NAT64; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
