"""Every parser of heliograph that is given bytes from a socket or a file, in one table.

What is held of each: any bytes give a value or one of its errors, never another exception, in bounded time and memory;
its examples give values. `test_parsers.py` tries that with Hypothesis, `fuzz.py` guided by what the code covers, and
`test_table.py` finds decoders that are not here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import msgspec

from heliograph.admin import guarding
from heliograph.admin.client import read_result
from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.config import cache_xml, properties, topology_file
from heliograph.engine.nats import append, lifetime, protocol, session
from heliograph.errors import PeerError, UsageError
from heliograph.gateway import verdict
from heliograph.gfsh import processes, tokens
from heliograph.gfsh.variables import Variables
from heliograph.link import failures, frames, hello, messages
from heliograph.link.session import Session
from heliograph.locator import assembly, requests
from heliograph.model import attributes, batch, classes, ids, plugins, queues
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.decoding import MALFORMED, decode
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.model.parked import ParkedEvent, ParkedInfo
from heliograph.model.region_file import FileEncoder, FileEntries, FileHead, FileParser
from heliograph.model.registry import Commanded, Cursor, Lease, RegionEntry, SiteLife, Stability, decode_entry
from heliograph.model.requests import Requests
from heliograph.model.results import Result
from heliograph.model.routing import Routing
from heliograph.model.runtime import RuntimeProperties
from heliograph.process import log_lines
from heliograph.query.parser import parse_query
from heliograph.security import passwords, permissions, users
from tests.parsers.samples import COLUMNS, PART, sample

Parse = Callable[[bytes], Any]


@dataclass(frozen=True)
class Parser:
    """One parser.

    parse: bytes -> value. errors: what it may raise. examples: valid inputs. encode: the inverse of `parse`, of those
    where a valid input has one form only.
    """

    parse: Parse
    errors: tuple[type[Exception], ...]
    examples: tuple[bytes, ...]
    encode: Callable[[Any], bytes] | None = None


encode = msgspec.msgpack.Encoder().encode
encode_json = msgspec.json.Encoder().encode
REGISTRY_KINDS: tuple[type, ...] = (
    MemberInfo,
    RegionEntry,
    attributes.DiskStoreAttributes,
    attributes.GatewaySenderAttributes,
    attributes.GatewayReceiverAttributes,
    attributes.GatewayConflictResolverAttributes,
    queues.AsyncEventQueueAttributes,
    RegionPlacement,
    RuntimeProperties,
    SiteLife,
    Lease,
    Cursor,
    Commanded,
    Stability,
    ParkedInfo,
    ParkedEvent,
)
BODIES: tuple[type, ...] = (
    attributes.RegionAttributes,
    attributes.DiskStoreAttributes,
    attributes.GatewaySenderAttributes,
    attributes.GatewayReceiverAttributes,
    attributes.GatewayConflictResolverAttributes,
    queues.AsyncEventQueueAttributes,
    ClusterConfiguration,
    requests.RegionAlteration,
    requests.SenderAlteration,
    requests.QueueAlteration,
    requests.StoreAlteration,
    requests.WanCopyRequest,
    requests.ExportRequest,
    requests.ImportRequest,
    requests.RebalanceRequest,
    requests.EntryValue,
    requests.LogLevelChange,
    RuntimeProperties,
)
"""Of the admin API."""
ALTERATIONS: dict[type, bytes] = {
    requests.RegionAlteration: b'{"gateway_sender_ids": ["s2"], "entry_time_to_live_expiration": 5}',
    requests.SenderAlteration: b'{"batch_size": 5}',
    requests.QueueAlteration: b'{"batch_size": 5}',
    requests.StoreAlteration: b'{"max_disk": 5}',
    requests.LogLevelChange: b'{"log_level": "FINE"}',
    requests.WanCopyRequest: b'{"region": "customer", "sender_id": "s2"}',
    requests.ExportRequest: b'{"member": "s1", "dir": "d", "parallel": true}',
    requests.ImportRequest: b'{"member": "s1", "file": "x.gfd", "invoke_callbacks": true}',
    requests.RebalanceRequest: b'{"include_region": ["customer"]}',
}


def _text(parse: Callable[[str], Any]) -> Parse:
    """Give text to a parser of text, as whoever reads a file or the command line does."""
    return lambda data: parse(data.decode(errors="surrogateescape"))


def _file(name: str, read: Callable[[Path], Any]) -> Parse:
    """Give a file to a parser that reads it itself."""
    directory = Path(tempfile.mkdtemp(prefix="heliograph-parsers-"))

    def parse(data: bytes) -> Any:
        (directory / name).write_bytes(data)
        return read(directory)

    return parse


def _frame(kind: int, number: int, body: bytes) -> bytes:
    return frames.frame_header(kind, number, body) + body


def _frames(data: bytes) -> list[frames.Frame]:
    parser = frames.FrameParser()
    parser.trust()
    return parser.receive(data)


SENDER, RECEIVER = hello.Hello("sender", "s2", 1), hello.Hello("receiver", "server1", 2)
CLIENT, MEMBER = hello.Hello("client", "app"), hello.Hello("member", "server1", 2)
SIDES = {"receiver": (hello.Side.ANSWERER, RECEIVER, SENDER), "client": (hello.Side.OPENER, CLIENT, MEMBER)}


def _session(side: hello.Side, ours: hello.Hello, theirs: hello.Hello, data: bytes) -> list[object]:
    """Give bytes to a link that is open, as one end of it would have them, and answer what can be answered."""
    link = Session(side, ours)
    said = frames.PREFACE + _frame(frames.Kind.HELLO, 0, hello.encode_hello(theirs))
    if side is hello.Side.OPENER:
        link.greet()
        list(link.receive(said))
        link.request(messages.SiteQuery())
    else:
        list(link.receive(said))
        link.greet()
    return list(link.receive(data))


def _record(data: bytes) -> batch.Record:
    record = batch.decode_record(data)
    for part in record.parts:
        batch.check_head(part)
        batch.operations_of(part)
        batch.check_part(part, batch.decode_columns(part.columns))
    return record


def _wan_batch(data: bytes) -> Any:
    received = verdict.open_batch(data)
    parts = verdict.parts_by_bucket(received, Routing(16))
    for some in parts.values():
        for part in some:
            batch.check_part(part, batch.decode_columns(part.columns))
    return parts


def _nats(data: bytes) -> list[object]:
    found = protocol.Parser().feed(data)
    for each in found:
        if isinstance(each, protocol.Message):
            each.status, each.description, each.header(b"Nats-Sequence")
            append.read_ack(each)
    return list(found)


def _value_of_class(text: str) -> object:
    name, _, value = text.partition(" ")
    return classes.read_value(value, name)


def _script(text: str) -> list[tokens.CommandLine]:
    variables = Variables()
    lines = list(tokens.script_lines(text))
    for line in lines:
        tokens.redact(line)
    return [command for line in lines for command in tokens.parse_line(variables.expand(line))]


def _plugins(text: str) -> list[plugins.PluginName]:
    return [plugins.read_plugin("gateway-event-filter", each) for each in plugins.split_plugins(text)]


def _snapshot() -> bytes:
    view = BucketView()
    view.values.update({"a": b"\x01", 7: b"\x02"})
    view.versions.update({"a": 257, 7: 513, b"gone": 769})
    view.tombstones[b"gone"] = ids.Seq(5)
    return b"".join(slices(view))


def _region_file(data: bytes) -> list[FileEntries]:
    parser = FileParser()
    found = parser.receive(data)
    parser.end()
    return found


def _exported() -> bytes:
    encoder = FileEncoder()
    begun = encoder.begin(FileHead("customer", "77", 0, 1, 5))
    return begun + encoder.entries(["a", 7, b"c"], [b"\x01", b"\x02", b"\x03"]) + encoder.end()


def _entry(kind: type, data: bytes) -> Any:
    return decode_entry(data, kind)


def _body(kind: type, data: bytes) -> Any:
    return msgspec.json.decode(data, type=kind)


HASH = passwords.hash_password("sesame", bytes(16), n=passwords.N_MIN).text().encode()
USERS = (
    b'{"roles": {"watch": ["CLUSTER:READ"]}, "users": {"ada": {"password": "%s", "roles": ["watch"], "sites": [2], '
    b'"permissions": ["DATA:READ:r"], "expires": "2030-01-01T00:00:00Z"}}}' % HASH
)
USERS_TOML = b'[users.ada]\npassword = "%s"\nsites = [2]\nexpires = 2030-01-01T00:00:00Z\n' % HASH
TOPOLOGY = b"""
[regions.customer]
type = "PARTITION"
[sites.london]
distributed-system-id = 1
locators = ["localhost[10334]"]
[sites.york]
distributed-system-id = 2
url = "http://localhost:7070"
[sites.york.gateway-receiver]
start-port = 5000
"""
CACHE_XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<cache xmlns="http://geode.apache.org/schema/cache" version="1.0">
  <gateway-sender id="s2" parallel="true" remote-distributed-system-id="2"/>
  <region name="customer" refid="PARTITION"><region-attributes gateway-sender-ids="s2"/></region>
</cache>
"""
TALK = {
    "receiver": _frame(4, 1, b"batch")
    + _frame(2, 1, encode(messages.SiteQuery()))
    + _frame(9, 0, encode(sample(messages.Failure))),
    "client": _frame(3, 1, encode(messages.Count(3))) + _frame(7, 5, b"") + _frame(8, 5, b""),
}
PEER, USAGE = (PeerError,), (UsageError,)

PARSERS: dict[str, Parser] = {
    "frames": Parser(
        _frames, PEER, (frames.PREFACE + _frame(1, 0, b"hello") + _frame(4, 7, bytes(500)) + _frame(5, 7, b""),)
    ),
    "hello": Parser(hello.decode_hello, PEER, (hello.encode_hello(SENDER), hello.encode_hello(CLIENT)), encode),
    "failure": Parser(failures.decode_failure, PEER, (encode(sample(messages.Failure)),), encode),
    **{
        f"session-{role}": Parser(
            partial(_session, *ends),
            PEER,
            (TALK[role],),
        )
        for role, ends in SIDES.items()
    },
    "request": Parser(
        lambda data: decode(messages.decode_request, data, "request"),
        PEER,
        tuple(encode(sample(kind)) for kind in get_args(messages.Request)),
        encode,
    ),
    "reply": Parser(
        lambda data: decode(messages.decode_reply, data, "reply"),
        PEER,
        tuple(encode(sample(kind)) for kind in get_args(messages.Reply)),
        encode,
    ),
    "rejected": Parser(
        lambda data: decode(messages.decode_rejected, data, "acknowledgement in part"),
        PEER,
        (encode((messages.Rejected(0, (1, 2), "x"),)),),
        encode,
    ),
    "wan-batch": Parser(
        _wan_batch,
        PEER,
        (encode(messages.WanBatch("customer", 16, [(3, PART)])), encode(messages.WanBatch("customer", 8, [(3, PART)]))),
    ),
    "columns": Parser(
        batch.decode_columns,
        PEER,
        (COLUMNS, batch.encode_columns(batch.Columns(bytes(2), ["a", "b"], [b"\x01", b"\x02"], 5))),
        encode,
    ),
    "record": Parser(
        _record,
        PEER,
        (
            encode(batch.Record(1, (PART, PART), "", (sample(batch.Removal),), sample(Requests))),
            encode(batch.Record(2, (), "server1")),
        ),
        encode,
    ),
    "log-lines": Parser(
        lambda data: log_lines.choose(data, log_lines.Choice(level=30, start_ms=1), wanted=True),
        (),
        (b"2026-11-27 06:48:27,123 ERROR heliograph.a failed\n  so\n2026-11-27 06:48:28,000 INFO b x\n",),
    ),
    "snapshot": Parser(open_snapshot, PEER, (_snapshot(),), lambda view: b"".join(slices(view))),
    "region-file": Parser(_region_file, USAGE, (_exported(),)),
    **{
        f"registry-{kind.__name__}": Parser(partial(_entry, kind), PEER, (encode(sample(kind)),), encode)
        for kind in REGISTRY_KINDS
    },
    **{
        f"admin-{kind.__name__}": Parser(
            partial(_body, kind), MALFORMED, (ALTERATIONS.get(kind) or encode_json(sample(kind)),)
        )
        for kind in BODIES
    },
    "admin-answer": Parser(read_result, PEER, (encode_json(sample(Result)),), encode_json),
    "nats": Parser(
        _nats,
        PEER,
        (
            b'INFO {"version":"2.11","max_payload":1}\r\nPING\r\nMSG a.b 1 _INBOX.x 5\r\nhello\r\n+OK\r\n',
            b"HMSG a 1 16 20\r\nNATS/1.0 503 No\r\nabcde\r\n"[:-2] + b"\r\n",
            b'MSG _INBOX.x 2 24\r\n{"stream":"D","seq":123}\r\n-ERR \'x\'\r\n',
        ),
    ),
    "nats-info": Parser(
        protocol.parse_info, PEER, (b'{"version":"2.11","max_payload":1,"connect_urls":["a:1"],"headers":true}',)
    ),
    "nats-ack": Parser(
        lambda data: append.read_ack(protocol.Message(b"a", 1, b"", b"", data)),
        (),
        (
            b'{"stream":"D","seq":123}',
            b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"}}',
        ),
    ),
    "engine-urls": Parser(
        _text(lambda text: session.parse_servers(text, "m")), USAGE, (b"nats://u:p@host:4222,other:4223", b"tls://t@h")
    ),
    "engine-state": Parser(
        _file("engine.json", lambda where: lifetime.read_state(where / "engine.json")),
        USAGE,
        (b'{"password":"x","port":5,"pid":7,"owner":8}',),
    ),
    "process-state": Parser(
        _file("locator.json", lambda where: processes.read_state(where, "locator")),
        USAGE,
        (encode_json(sample(processes.ProcessState)),),
    ),
    "locator-cluster": Parser(
        _file("cluster.json", lambda where: assembly.read_kept(where / "cluster.json")),
        USAGE,
        (encode_json(sample(assembly.Kept)),),
    ),
    "cache-xml": Parser(lambda data: cache_xml.parse_cache_xml(data, {"a": "${b}", "b": "c"}), USAGE, (CACHE_XML,)),
    "properties": Parser(
        _file("gemfire.properties", lambda where: properties.read_file(where / "gemfire.properties")),
        USAGE,
        (b"# x\nname=a\nlog-file: b \\\n  c\nd\\u0041 e\n",),
    ),
    "topology": Parser(
        _file("topology.toml", lambda where: topology_file.read_topology(where / "topology.toml")), USAGE, (TOPOLOGY,)
    ),
    "users": Parser(partial(users.read_users, toml=False), USAGE, (USERS,)),
    "users-toml": Parser(partial(users.read_users, toml=True), USAGE, (USERS_TOML,)),
    "password-hash": Parser(_text(passwords.parse_hash), USAGE, (HASH,)),
    "grant": Parser(_text(permissions.parse_grant), USAGE, (b"DATA:READ,WRITE:customer:42", b"SITE:2", b"*")),
    "authorization": Parser(_text(guarding.read_authorization), PEER, (b"Basic YTpi", b"Bearer abc", b"")),
    "address": Parser(_text(ids.parse_addresses), USAGE, (b"localhost[10334], [::1]:5", b"a:1")),
    "plugins": Parser(_text(_plugins), USAGE, (b'a:b{"x": [1, {}]}, c.d:e',)),
    "query": Parser(
        _text(parse_query),
        USAGE,
        (
            b'SELECT DISTINCT e.key, e.value."a b" AS x FROM /r.entries e WHERE NOT (e.value.n <= -1.5e3 OR TRUE)',
            b"select count(*) from /r where IS_DEFINED(a) and b in set('x', NULL) and c like '%\\_' ;",
            b"SELECT * FROM /customer AS c ORDER BY c.age DESC, this.name",
        ),
    ),
    "shell-value": Parser(_text(classes.read_value), USAGE, (b"('name':'Ada','at':('city':'York'))", b"plain")),
    "shell-value-of-class": Parser(
        _text(_value_of_class),
        USAGE,
        (b"Integer 7", b"java.util.ArrayList ['a',1]", b"Double 1.5", b"Boolean true", b"String x"),
    ),
    "script": Parser(
        _text(_script),
        USAGE,
        (b"connect --locator=a[1]; echo '${SYS_USER}'\n# no\n/* a\n */create region \\\n --name=\"x\"",),
    ),
}
