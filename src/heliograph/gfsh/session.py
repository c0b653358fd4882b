"""What one run of the program remembers from command to command: the connection, and where output goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph.errors import UnavailableError, UsageError
from heliograph.gfsh.output import Printer
from heliograph.gfsh.variables import APP_QUIET_EXECUTION, Variables
from heliograph.model.ids import Address
from heliograph.model.tls import NO_TLS
from heliograph.security.properties import NO_SECURITY_PROPERTIES

if TYPE_CHECKING:
    from heliograph.admin.client import AdminClient

NOT_CONNECTED = (
    "not connected: connect first with `connect --locator=host[port]` "
    '(outside the shell: helio -e "connect --locator=host[port]" -e "...")'
)


@dataclass(frozen=True, slots=True)
class Connection:
    """A site's admin API, and the locator through which it was found (None when its url was given)."""

    client: AdminClient
    url: str
    locator: Address | None

    def __str__(self) -> str:
        return self.url if self.locator is None else str(self.locator)


class Session:
    """The state of a shell, of a script, or of the `-e` commands of one run."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.connection: Connection | None = None
        self.leaving = False
        self.headless = False
        self.tls = NO_TLS
        """How processes are reached: as `connect` was told, or whoever was started."""
        self.identity = NO_SECURITY_PROPERTIES
        """Who the operator is: as `connect` was told."""
        self.variables = Variables()
        self.lines: list[str] = []
        """What was run in this session, with passwords taken out."""
        self.clear_history: Callable[[], None] = self.lines.clear
        """Forgets what `history` shows; the interactive shell forgets its file, too."""

    def go_headless(self) -> None:
        """Ask nothing from now on, and show no line once more because variables were replaced in it (gfsh.md §1.2)."""
        self.headless = True
        self.variables.set(APP_QUIET_EXECUTION, "true")

    @property
    def client(self) -> AdminClient:
        """The admin API of the connected site. Raises UsageError when not connected."""
        if self.connection is None:
            raise UsageError(NOT_CONNECTED)
        return self.connection.client

    def connect(self, url: str, locator: Address | None) -> Connection:
        """Turn to the admin API at `url`; the session must not be connected. Nothing is asked of it yet."""
        from heliograph.admin.client import AdminClient
        from heliograph.gfsh.asking import authorization_for

        self.connection = Connection(AdminClient(url, self.tls, authorization_for(self.identity, url)), url, locator)
        return self.connection

    def aside(self) -> Session:
        """Return a session like this one that is not connected, for a look at another site."""
        other = Session(self.printer)
        other.tls = self.tls
        other.identity = self.identity
        return other

    def drop_lost(self) -> None:
        """Give the connection up when the site's admin API can't be reached any more, as after its locator has died."""
        if self.connection is None:
            return
        try:
            self.connection.client.call("GET", "/version")
        except UnavailableError:
            self.disconnect()

    def disconnect(self) -> Connection | None:
        """Give the connection up and return what it was."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.client.close()
        return connection
