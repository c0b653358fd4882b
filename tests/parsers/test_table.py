"""No decoder in the sources is forgotten by the table of parsers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import heliograph
from heliograph.model import registry
from tests.parsers.table import PARSERS, REGISTRY_KINDS

SOURCES = Path(heliograph.__file__).parent
DECODING = {"Decoder", "decode", "convert", "loads", "raw_decode", "from_bytes", "unpack", "unpack_from", "feed"}
MODULES = {"msgspec", "msgpack", "json", "tomllib", "struct", "pickle", "yaml", "int", "_HEADER", "parser"}
"""A decoder is a call of one of the first, or a mention of it, on one of the second; `_decoder`s are found at their
making.
"""
IN_TABLE = {
    "admin/client.py:_decode": "admin-answer",
    "bucket/snapshot.py:_decode_head": "snapshot",
    "bucket/snapshot.py:_decode_slice": "snapshot",
    "bucket/snapshot.py:_parts": "snapshot",
    "config/topology_file.py:_definition": "topology",
    "config/topology_file.py:parse_topology": "topology",
    "config/xml_reader.py:parse_xml": "cache-xml",
    "engine/nats/append.py:_decode_ack": "nats-ack",
    "engine/nats/lifetime.py:read_state": "engine-state",
    "engine/nats/protocol.py:parse_info": "nats-info",
    "gfsh/processes.py:read_state": "process-state",
    "link/failures.py:_decode": "failure",
    "link/frames.py:_pack": "frames",
    "link/hello.py:_decode": "hello",
    "link/messages.py:decode_rejected": "rejected",
    "link/messages.py:decode_reply": "reply",
    "link/messages.py:decode_request": "request",
    "link/messages.py:decode_wan_batch": "wan-batch",
    "locator/assembly.py:read_kept": "locator-cluster",
    "model/batch.py:_decode_columns": "columns",
    "model/batch.py:_decode_record": "record",
    "model/batch.py:operations_of": "record",
    "model/classes.py:_json": "shell-value",
    "model/plugins.py:_scan": "plugins",
    "model/plugins.py:read_plugin": "plugins",
    "model/region_file.py:_decode_end": "region-file",
    "model/region_file.py:_decode_entries": "region-file",
    "model/region_file.py:_decode_head": "region-file",
    "model/registry.py:decode_entry": "registry-MemberInfo",
    "security/users.py:read_users": "users",
}
"""Where a decoder is made or called -> the parser that stands for it."""
NOT_IN_TABLE = {
    "api/options.py:checked": "of values of the program's own, not of bytes",
    "engine/nats/transfer.py:_ask": "answers of the site's own engine to the locator that started it",
    "engine/nats/transfer.py:copy_stream": "the same",
    "gateway/alarms.py:_decode_stamps": "of parts of the log, which `record` checked when they were appended",
    "gateway/conflation.py:_decode_operations": "the same",
    "gfsh/bench/proxy.py:module": "a line that the benchmark writes to a process that it started",
    "gfsh/bench/site.py:_measure": "lines of processes that the benchmark started",
    "gfsh/bench/wan.py:_measure": "the same",
    "gfsh/bench/worker.py:main": "as proxy.py",
    "gfsh/commands/configuration.py:_exported": "what the admin API says, in an answer that was checked",
    "gfsh/daemon.py:main": "what the shell writes to a process that it started",
    "gfsh/known.py:_ask": "what the admin API says, for hints: any failure means no hints",
    "gfsh/launch.py:_decode_report": "lines of a process that the shell started",
    "gfsh/locator_daemon.py:run": "as daemon.py",
    "model/keys.py:_decoder": "of values, which users' own programs encoded and are told what is wrong with",
}
"""Where a decoder is that is given nothing from a stranger or from a file, and why."""


def decoders() -> Iterator[str]:
    """Yield `module:name` of every place that decodes: the name that a decoder is given, or the function around it."""
    for path in sorted(SOURCES.rglob("*.py")):
        yield from _decoders_in(ast.parse(path.read_text()), path.relative_to(SOURCES).as_posix(), "module")


def _decoders_in(node: ast.AST, module: str, name: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = child.name
        elif isinstance(child, ast.Assign) and name == "module":
            target = child.targets[0]
            first = target.elts[0] if isinstance(target, ast.Tuple) else target
            inner = first.id if isinstance(first, ast.Name) else name
        if (
            isinstance(child, ast.Attribute)
            and child.attr in DECODING
            and (child.attr == "raw_decode" or _root(child.value) in MODULES)
        ):
            yield f"{module}:{inner}"
        yield from _decoders_in(child, module, inner)


def _root(node: ast.expr) -> str:
    """Return the module that an attribute is of: `json` of `msgspec.json`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def test_every_decoder_is_in_the_table_or_said_not_to_be() -> None:
    assert set(decoders()) == IN_TABLE.keys() | NOT_IN_TABLE.keys()


def test_what_is_in_the_table_is_tried() -> None:
    assert set(IN_TABLE.values()) <= PARSERS.keys()


def test_every_kind_of_registry_entry_is_in_the_table() -> None:
    """Kinds are found by the calls that name them: `decode_entry(item.value, MemberInfo)`."""
    named: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("decode_entry", "decoded")
            ):
                kind = node.args[-1]
                if isinstance(kind, ast.Name) and kind.id != "kind":
                    named.add(kind.id)
    assert named <= {kind.__name__ for kind in REGISTRY_KINDS}
    assert registry.Cursor in REGISTRY_KINDS
