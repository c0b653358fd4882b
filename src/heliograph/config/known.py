"""The properties that there are, by the kind of process that is configured (spec: configuration.md §6).

A property that the options of a start command have, too, means the same. What GemFire has and heliograph has not is
refused with the reason: nothing is accepted and ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from heliograph.errors import UsageError
from heliograph.model.ids import Address, parse_addresses
from heliograph.model.log_levels import check_log_level
from heliograph.model.refusals import Refusal

Process: TypeAlias = Literal["locator", "server", "client"]
PROCESSES: tuple[Process, ...] = get_args(Process)


class Meaning(NamedTuple):
    """The field that a property fills in, and how its text is read (UsageError, ValueError)."""

    field: str
    read: Callable[[str], Any]


def boolean(text: str) -> bool:
    """Read `true` or `false`. Raises ValueError."""
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise ValueError("write true or false") from None


def number(text: str) -> int:
    """Read a whole number. Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("write a whole number") from None


def names(text: str) -> tuple[str, ...]:
    """Read names that are separated by commas or blanks."""
    return tuple(text.replace(",", " ").split())


def _site(text: str) -> int | None:
    return None if number(text) == -1 else number(text)  # -1: not set


_OF_LOCATOR: dict[str, Meaning] = {
    "distributed-system-id": Meaning("distributed_system_id", _site),
    "remote-locators": Meaning("remote_locators", parse_addresses),
    "http-service-port": Meaning("http_service_port", number),
    "http-service-bind-address": Meaning("http_service_bind_address", str),
    "member-timeout": Meaning("member_timeout_ms", number),
    "max-clock-skew": Meaning("max_clock_skew", number),
    "tombstone-timeout": Meaning("tombstone_timeout", number),
    "tombstone-max-age": Meaning("tombstone_max_age", number),
    "disk-synchronous": Meaning("disk_synchronous", boolean),
    "engine": Meaning("engine", str),
    "engine-replicas": Meaning("engine_replicas", number),
    "engine-credentials-file": Meaning("engine_credentials_file", str),
    "engine-ca-file": Meaning("engine_ca_file", str),
    "engine-certificate-file": Meaning("engine_certificate_file", str),
    "engine-key-file": Meaning("engine_key_file", str),
}
_OF_BOTH: dict[str, Meaning] = {
    "name": Meaning("name", str),
    "bind-address": Meaning("bind_address", str),
    "hostname-for-clients": Meaning("hostname_for_clients", str),
    "locators": Meaning("locators", parse_addresses),
    "log-level": Meaning("log_level", check_log_level),
}
KNOWN: Mapping[Process, Mapping[str, Meaning]] = {
    "locator": {**_OF_BOTH, **_OF_LOCATOR, "port": Meaning("port", number)},
    "server": {
        **_OF_BOTH,
        **_OF_LOCATOR,
        "server-port": Meaning("server_port", number),
        "server-bind-address": Meaning("bind_address", str),
        "groups": Meaning("groups", names),
        "redundancy-zone": Meaning("redundancy_zone", str),
        "locator-wait-time": Meaning("locator_wait_time", number),
        "cache-xml-file": Meaning("cache_xml_file", str),
        "start-locator": Meaning("start_locator", Address.parse),
    },
    "client": {"locators": Meaning("locators", parse_addresses)},
}
"""A server has those of a locator for the one that it may run inside itself."""
FILES = frozenset(name for known in KNOWN.values() for name in known if name.endswith("-file"))
"""Properties that name a file: relative to where the properties stand."""

_NO_JMX = "there is no JMX here: operators use the admin API (http-service-port, http-service-bind-address)"
_OWN_PROTOCOL = "members speak one protocol over one port, with keep-alive of its own"
_OWN_MEMBERSHIP = (
    "membership is kept in the engine: a member that was away comes back by itself, and see member-timeout"
)
_LOG = "a process logs to <name>.log in its directory (in Python: configure the logger heliograph)"
_STATISTICS = "statistics are in the admin API, and in status and describe commands"
_CONFIGURATION = "a site's configuration is always kept in its engine, and every member takes it from there"
_REASONS: dict[str, tuple[str, ...]] = {
    _NO_JMX: ("jmx-manager", "jmx-manager-start", "jmx-manager-port", "jmx-manager-bind-address",
              "jmx-manager-hostname-for-clients", "jmx-manager-update-rate", "enable-management-rest-service",
              "start-dev-rest-api"),
    _OWN_PROTOCOL: ("mcast-port", "mcast-address", "tcp-port", "membership-port-range", "conserve-sockets",
                    "socket-buffer-size", "ack-wait-threshold", "ack-severe-alert-threshold", "delta-propagation",
                    "remove-unresponsive-client"),
    _OWN_MEMBERSHIP: ("max-wait-time-reconnect", "max-num-reconnect-tries", "disable-auto-reconnect",
                      "enable-network-partition-detection"),
    _LOG: ("log-file", "log-file-size-limit", "log-disk-space-limit"),
    _STATISTICS: ("statistic-sampling-enabled", "statistic-sample-rate", "statistic-archive-file",
                  "archive-file-size-limit", "archive-disk-space-limit", "enable-time-statistics"),
    _CONFIGURATION: ("enable-cluster-configuration", "use-cluster-configuration",
                     "load-cluster-configuration-from-dir", "cluster-configuration-dir"),
    "tell machines apart with redundancy-zone": ("enforce-unique-host",),
    "plug-ins are importable modules (docs/plugins.md)": ("deploy-working-dir",),
    "a process's directory is said where it is started (--dir, directory=)": ("dir", "directory"),
}  # fmt: skip
_UNLESS: Mapping[str, tuple[str, ...]] = {
    "0": ("mcast-port", "tcp-port", "log-file-size-limit", "log-disk-space-limit", "archive-file-size-limit",
          "archive-disk-space-limit"),
    "true": ("enable-management-rest-service", "enable-cluster-configuration", "use-cluster-configuration",
             "enable-network-partition-detection", "statistic-sampling-enabled", "enable-time-statistics"),
    "false": ("jmx-manager", "jmx-manager-start", "start-dev-rest-api", "conserve-sockets", "delta-propagation",
              "remove-unresponsive-client", "disable-auto-reconnect", "load-cluster-configuration-from-dir",
              "enforce-unique-host"),
}  # fmt: skip
"""Value -> what it asks for nothing of, but what is done anyway."""
_DONE = {name: (value,) for value, names_ in _UNLESS.items() for name in names_}
REFUSED: Mapping[str, Refusal] = {
    name: Refusal(reason, _DONE.get(name, ())) for reason, names_ in _REASONS.items() for name in names_
}
"""What GemFire has and heliograph has not."""


def refusal(name: str, process: Process) -> str | None:
    """Return why a property of another kind of process is not meant for this one; None: it is unknown."""
    others = [other for other in PROCESSES if name in KNOWN[other] and other != process]
    if others:
        return f"it is for a {' or a '.join(others)}, and this is a {process}"
    return None


def check_field(field: str, one: object, other: object, where: str) -> None:
    """Raise UsageError when two properties that mean one thing differ."""
    if one != other:
        raise UsageError(f"{where}: another property that means {field.replace('_', '-')} has another value")
