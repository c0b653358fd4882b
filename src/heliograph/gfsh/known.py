"""Names that the connected site has, for completion: asked for when they are needed, and then kept for a moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.errors import HeliographError
from heliograph.gfsh.session import Session

KEPT_S = 5.0
REGIONS, SENDERS, QUEUES, STORES = "regions", "gateway_senders", "async_event_queues", "disk_stores"
MEMBERS, GROUPS = "members", "groups"
_BY_OPTION = {
    "--region": REGIONS,
    "--include-region": REGIONS,
    "--exclude-region": REGIONS,
    "--colocated-with": REGIONS,
    "--gateway-sender-id": SENDERS,
    "--sender-id": SENDERS,
    "--async-event-queue-id": QUEUES,
    "--disk-store": STORES,
    "--disk-store-name": STORES,
    "--member": MEMBERS,
    "--members": MEMBERS,
    "--group": GROUPS,
    "--groups": GROUPS,
}
_BY_COMMAND = {
    ("--name", "region"): REGIONS,
    ("--name", "disk-store"): STORES,
    ("--name", "member"): MEMBERS,
    ("--id", "gateway-sender"): SENDERS,
    ("--id", "parked-events"): SENDERS,
    ("--id", "async-event-queue"): QUEUES,
    ("--id", "async-event-queue-dispatcher"): QUEUES,
}
"""(option, last word of the command) -> what it names; not of `create`, which takes a new name."""


class Known:
    """What a session's site has, by kind. Whatever goes wrong, nothing is known: completion must not disturb."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names: dict[str, list[str]] = {}
        self._asked: tuple[object, float] = (None, 0.0)

    def values(self, command: str, option: str, typed: str = "") -> Sequence[str]:
        """Return the names that may be an option's value, of regions their paths when one is typed (`/name`)."""
        verb, _, noun = command.rpartition(" ")
        kind = _BY_OPTION.get(option) or (_BY_COMMAND.get((option, noun)) if verb != "create" else None)
        names = self._of(kind) if kind is not None else ()
        return [f"/{name}" for name in names] if kind == REGIONS and typed.startswith("/") else names

    def _of(self, kind: str) -> Sequence[str]:
        connection = self._session.connection
        if connection is None:
            return ()
        site, at = self._asked
        if site is not connection or time.monotonic() - at > KEPT_S:
            self._asked = (connection, time.monotonic())
            try:
                self._names = self._ask()
            except (HeliographError, ValueError, KeyError):
                self._names = {}
        return self._names.get(kind, ())

    def _ask(self) -> dict[str, list[str]]:
        from heliograph.locator.site_configuration import CONFIGURATION
        from heliograph.locator.site_members import GROUPS as GROUPS_THERE

        client = self._session.client
        there: dict[str, Any] = msgspec.json.decode(client.call("GET", "/cluster-configuration").data[CONFIGURATION])
        names = {
            kind: sorted(each.get("name") or each["id"] for each in there[kind])
            for kind in (REGIONS, SENDERS, QUEUES, STORES)
        }
        members = client.call("GET", "/members")
        return {
            **names,
            MEMBERS: sorted(row[0] for table in members.tables for row in table.rows),
            GROUPS: [group for group in members.data.get(GROUPS_THERE, "").split(",") if group],
        }
