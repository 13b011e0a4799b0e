"""A guarded connection to an SMTP server, on the standard library's client."""

import smtplib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ordertrace_alerting.durations import NS
from ordertrace_alerting.fields import Fields
from ordertrace_alerting.redaction import Secret
from ordertrace_alerting.senders.addresses import Resolve, allowed_addresses
from ordertrace_alerting.senders.receiver_options import DEFAULT_TIMEOUT, read_connection

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """`security` is starttls, tls or none; `timeout` in nanoseconds, for a whole session."""

    host: str
    port: int
    security: str = "starttls"
    username: str = ""
    password: Secret | None = None
    ca_file: str = ""  # of a server whose certificate no public authority signed
    timeout: int = DEFAULT_TIMEOUT
    allow_private: bool = False


class Session(smtplib.SMTP):
    """A connection to an address that was judged, over before the time-out whatever the server does."""

    def __init__(self, server: SmtpServer, resolve: Resolve) -> None:
        self._server = server
        self._resolve = resolve
        self._tls = ssl.create_default_context(cafile=server.ca_file or None)
        self._expired = False
        self._deadline = time.monotonic() + server.timeout / NS
        self._guard = threading.Timer(server.timeout / NS, self._expire)
        self._guard.daemon = True
        self._guard.start()
        try:
            super().__init__(server.host, server.port, socket.gethostname(), timeout=server.timeout / NS)
            if server.security == "starttls":
                self.starttls(context=self._tls)
            if server.username and server.password:
                self.login(server.username, server.password.reveal())
        except BaseException as error:
            self._end()
            if self._expired:
                raise TimeoutError from error
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(exc_type, exc_value, tb)
        except smtplib.SMTPException:
            pass  # the mail was taken, or its own error is under way
        finally:
            self._end()
        if exc_value is not None and self._expired:
            raise TimeoutError from exc_value

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """The hook through which the standard library's SMTP_SSL makes its own connection, too."""
        addresses = allowed_addresses(
            host,
            port,
            allow_private=self._server.allow_private,
            resolve=self._resolve,
            seconds=self._deadline - time.monotonic(),
        )
        failure = OSError(f"{host} has no address")
        for address in addresses:
            try:
                left = max(0.001, self._deadline - time.monotonic())
                connection = socket.create_connection((address, port), left)
            except OSError as error:
                failure = error
                continue
            connection.settimeout(timeout + 1)  # the guard comes first, and knows the deadline of it all
            self.sock = connection
            if self._server.security == "tls":
                connection = self._tls.wrap_socket(connection, server_hostname=host)
            return connection
        raise failure

    def _expire(self) -> None:
        self._expired = True
        connection = getattr(self, "sock", None)
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _end(self) -> None:
        self._guard.cancel()
        self.close()


def read_server(fields: Fields) -> SmtpServer:
    """The fields of a receiver that say how its server is reached."""
    security = fields.text("security", "starttls", choices=tuple(_PORTS))
    username, password = fields.text("username"), fields.text("password")
    missing = "is missing", "give both, or neither"
    fields.together("username", "password", missing, at="password")
    fields.together("password", "username", missing, at="username")
    if username and password and security == "none":
        fields.problem("security", "would send the password for everybody to read", "write starttls or tls")
    ca_file = fields.text("ca_file")
    if ca_file and not Path(ca_file).is_file():
        fields.problem(
            "ca_file", "there is no such file", "name one with certificates in PEM, or leave it out"
        )
    return SmtpServer(
        host=fields.required_text("host", "give the name of the SMTP server"),
        port=fields.whole("port", _PORTS[security], least=1),
        security=security,
        username=username,
        password=Secret(password) if password else None,
        ca_file=ca_file,
        **read_connection(fields),
    )
