"""Which elements and attributes a cache.xml may have, and in which order (cache-xml.md §1 to §4).

The structure is GemFire's. What is in it and means nothing here is refused with the reason, as the commands refuse the
option; `heliograph.config.cache_xml` reads what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from heliograph.config.xml_reader import Element
from heliograph.errors import UsageError
from heliograph.model import refusals
from heliograph.model.refusals import Refusal, check_refused

NAMESPACE = "http://geode.apache.org/schema/cache"
"""Of the elements; they may come without one, too."""
OURS = "urn:heliograph:cache"
"""Of attributes that GemFire's schema does not have."""
_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"


@dataclass(frozen=True)
class Rule:
    """What one element may have.

    attributes: names, those of `OURS` with a `+` before them. required: of them, those that have to be there.
    children: name -> how many at most, in their order. text: it holds a text. refused: attributes that GemFire has and
    that mean nothing here. elements_refused: so of children.
    """

    attributes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    children: Mapping[str, int] = field(default_factory=dict)
    text: bool = False
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    elements_refused: Mapping[str, Refusal] = field(default_factory=dict)


MANY = 1_000_000
_PLUGIN = Rule(children={"class-name": 1, "parameter": MANY})
_FILTERS = {"gateway-event-filter": MANY, "gateway-event-substitution-filter": 1, "gateway-transport-filter": MANY}
_NOT_HERE = Refusal("it has no counterpart here: leave it out")
_EXPIRES = Rule(children={"expiration-attributes": 1})
_OFF = ("false",)

RULES: dict[str, Rule] = {
    "cache": Rule(
        attributes=("version",),
        children={
            "gateway-sender": MANY,
            "gateway-receiver": MANY,
            "gateway-conflict-resolver": 1,
            "async-event-queue": MANY,
            "cache-server": 1,
            "disk-store": MANY,
            "region-attributes": MANY,
            "region": MANY,
        },
        refused={
            "copy-on-read": Refusal("every reader gets a value of its own", ("true",)),
            "is-server": Refusal("every member serves clients", ("true",)),
            **dict.fromkeys(
                ("lock-timeout", "lock-lease", "message-sync-interval", "search-timeout"),
                Refusal("there are no distributed locks or searches that it would bound"),
            ),
        },
        elements_refused={
            "gateway-hub": Refusal("write a gateway-sender for each gateway"),
            "vm-root-region": Refusal("write region"),
            "cache-transaction-manager": Refusal("there are no transactions"),
            "pdx": Refusal("values are msgpack, which needs no registry"),
            "pool": Refusal("it is for clients: heliograph.connect"),
            "resource-manager": Refusal("nothing is evicted; give the servers enough memory"),
            "initializer": Refusal("run your program as a member, with heliograph.Cache"),
            "function-service": Refusal("run your program as a member, with heliograph.Cache"),
            **dict.fromkeys(
                ("dynamic-region-factory", "jndi-bindings", "serialization-registration", "backup"), _NOT_HERE
            ),
        },
    ),
    "gateway-sender": Rule(
        attributes=(
            "id",
            "remote-distributed-system-id",
            "parallel",
            "manual-start",
            "socket-buffer-size",
            "socket-read-timeout",
            "enable-batch-conflation",
            "batch-size",
            "batch-time-interval",
            "enable-persistence",
            "disk-store-name",
            "maximum-queue-memory",
            "alert-threshold",
            "dispatcher-threads",
            "order-policy",
            "+members",
            "+groups",
        ),
        required=("id", "remote-distributed-system-id"),
        children=_FILTERS,
        refused=refusals.SENDER,
    ),
    "gateway-receiver": Rule(
        attributes=(
            "start-port",
            "end-port",
            "bind-address",
            "maximum-time-between-pings",
            "socket-buffer-size",
            "hostname-for-senders",
            "manual-start",
            "+member",
            "+group",
        ),
        children={"gateway-transport-filter": MANY},
    ),
    "async-event-queue": Rule(
        attributes=(
            "id",
            "parallel",
            "pause-event-processing",
            "batch-size",
            "batch-time-interval",
            "enable-batch-conflation",
            "maximum-queue-memory",
            "persistent",
            "disk-store-name",
            "dispatcher-threads",
            "order-policy",
            "+groups",
        ),
        required=("id",),
        children={"gateway-event-filter": MANY, "gateway-event-substitution-filter": 1, "async-event-listener": 1},
        refused=refusals.QUEUE,
    ),
    "cache-server": Rule(
        attributes=("port", "bind-address", "hostname-for-clients"),
        children={"group": MANY},
        refused=refusals.CACHE_SERVER,
        elements_refused=dict.fromkeys(("client-subscription", "custom-load-probe"), _NOT_HERE),
    ),
    "group": Rule(text=True),
    "disk-store": Rule(
        attributes=("name", "+max-disk"),
        required=("name",),
        refused=refusals.DISK_STORE,
        elements_refused={"disk-dirs": refusals.DISK_STORE["dir"]},
    ),
    "region": Rule(
        attributes=("name", "refid"),
        required=("name",),
        children={"region-attributes": MANY},
        elements_refused={
            "index": Refusal("there are no indexes"),
            "entry": Refusal("put entries with a program, or the put command"),
            "region": Refusal("a region has no regions in it: give it a name of its own beside the others"),
        },
    ),
    "region-attributes": Rule(
        attributes=(
            "id",
            "refid",
            "data-policy",
            "gateway-sender-ids",
            "async-event-queue-ids",
            "disk-store-name",
            "+groups",
        ),
        children={"entry-time-to-live": 1, "entry-idle-time": 1, "partition-attributes": 1},
        refused={
            "scope": refusals.REGION["scope"],
            "statistics-enabled": refusals.REGION["enable-statistics"],
            "concurrency-checks-enabled": refusals.REGION["enable-concurrency-checks"],
            "cloning-enabled": refusals.REGION["enable-cloning"],
            "disk-synchronous": refusals.REGION["enable-synchronous-disk"],
            "multicast-enabled": refusals.REGION["enable-multicast"],
            "enable-gateway": Refusal("name the senders in gateway-sender-ids", _OFF),
            "hub-id": Refusal("name the senders in gateway-sender-ids"),
            **{
                name: refusals.REGION[name]
                for name in (
                    "concurrency-level",
                    "off-heap",
                    "enable-async-conflation",
                    "enable-subscription-conflation",
                )
            },
            **dict.fromkeys(
                ("early-ack", "is-lock-grantor", "ignore-jta", "publisher"), _NOT_HERE._replace(unless=_OFF)
            ),
            **dict.fromkeys(
                ("initial-capacity", "load-factor", "index-update-type", "pool-name", "mirror-type", "persist-backup"),
                _NOT_HERE,
            ),
        },
        elements_refused={
            "region-time-to-live": refusals.EXPIRATION["region-time-to-live-expiration"],
            "region-idle-time": refusals.EXPIRATION["region-idle-time-expiration"],
            "eviction-attributes": refusals.EVICTED,
            "disk-dirs": refusals.DISK_STORE["dir"],
            **{
                name: refusals.REGION[name]
                for name in (
                    "key-constraint",
                    "value-constraint",
                    "cache-loader",
                    "cache-writer",
                    "cache-listener",
                    "compressor",
                )
            },
            **dict.fromkeys(("disk-write-attributes", "membership-attributes", "subscription-attributes"), _NOT_HERE),
        },
    ),
    "partition-attributes": Rule(
        attributes=("total-num-buckets", "redundant-copies", "colocated-with"),
        children={"partition-resolver": 1},
        refused={
            name: refusals.REGION[name]
            for name in ("local-max-memory", "total-max-memory", "recovery-delay", "startup-recovery-delay")
        },
        elements_refused={
            "partition-listener": refusals.REGION["partition-listener"],
            "fixed-partition-attributes": Refusal("buckets are placed by the site; see redundancy-zone of a server"),
        },
    ),
    "partition-resolver": Rule(attributes=("name",), children={"class-name": 1}),
    "entry-time-to-live": _EXPIRES,
    "entry-idle-time": _EXPIRES,
    "expiration-attributes": Rule(
        attributes=("timeout", "action"),
        required=("timeout",),
        elements_refused={"custom-expiry": refusals.EXPIRATION["entry-time-to-live-custom-expiry"]},
    ),
    "gateway-conflict-resolver": _PLUGIN,
    "gateway-event-filter": _PLUGIN,
    "gateway-event-substitution-filter": _PLUGIN,
    "gateway-transport-filter": _PLUGIN,
    "async-event-listener": _PLUGIN,
    "class-name": Rule(text=True),
    "parameter": Rule(
        attributes=("name",),
        required=("name",),
        children={"string": 1},
        elements_refused={"declarable": Refusal("parameters are texts: write <string>")},
    ),
    "string": Rule(text=True),
}


def check_document(root: Element) -> None:
    """Check a document and take the namespaces off its names. Raises UsageError naming line and element."""
    root.tag = _local(root)
    if root.tag == "client-cache":
        raise root.wrong("this is for a client, and a server is configured: write <cache>")
    if root.tag != "cache":
        raise root.wrong("the document has to be one <cache>")
    if root.attributes.get("version", "1.0") != "1.0":
        raise root.wrong(f"version {root.attributes['version']!r} is not known: write 1.0")
    ahead = [root]
    while ahead:
        element = ahead.pop()
        _check(element, RULES[element.tag])
        ahead += element.children


def _check(element: Element, rule: Rule) -> None:
    element.attributes = dict(_attributes(element, rule))
    for name in rule.required:
        if name not in element.attributes:
            raise element.wrong(f"the attribute {name} is missing")
    if element.text and not rule.text:
        raise element.wrong(f"no text may stand here: {element.text[:40]!r}")
    order = list(rule.children)
    place = 0
    seen: dict[str, int] = {}
    for child in element.children:
        child.tag = _local(child)
        if child.tag in rule.elements_refused:
            raise child.wrong(f"not offered: {rule.elements_refused[child.tag].reason}")
        if child.tag not in order:
            raise child.wrong(f"is not known in <{element.tag}>{_hint(child.tag, order)}")
        if order.index(child.tag) < place:
            raise child.wrong(
                f"has to stand before <{order[place]}>: the order in <{element.tag}> is {', '.join(order)}"
            )
        place = order.index(child.tag)
        seen[child.tag] = seen.get(child.tag, 0) + 1
        if seen[child.tag] > rule.children[child.tag]:
            raise child.wrong(f"stands more than once in <{element.tag}>: keep one")


def _attributes(element: Element, rule: Rule) -> Iterable[tuple[str, str]]:
    for given, value in element.attributes.items():
        if given.startswith(_INSTANCE):
            continue  # where the schema is found: it is known here and never fetched
        name = "+" + given.removeprefix(f"{{{OURS}}}") if given.startswith(f"{{{OURS}}}") else given
        if name in rule.refused:
            try:
                check_refused(name, rule.refused[name], value)
            except UsageError as exc:
                raise element.wrong(str(exc)) from exc
            continue
        if name not in rule.attributes:
            known = [each for each in (*rule.attributes, *rule.refused) if not each.startswith("+")]
            raise element.wrong(f"the attribute {given} is not known{_hint(given, known)}")
        yield name.removeprefix("+"), value


def _local(element: Element) -> str:
    namespace, _, name = element.tag.rpartition("}")
    if namespace not in ("", "{" + NAMESPACE):
        raise element.wrong(f"its namespace {namespace[1:]} is not that of a cache: {NAMESPACE}")
    return name


def _hint(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name, names, 1)
    if near:
        return f": is {near[0]} meant?"
    return f": it has {', '.join(names)}" if names else ": it has none"
