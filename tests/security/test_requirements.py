from __future__ import annotations

import typing

import msgspec
import pytest

from heliograph.link import messages
from heliograph.link.hello import NO_SITE, Hello, Side
from heliograph.link.table import MAY_SEND
from heliograph.model.ids import Address
from heliograph.security.requirements import RULES, SIGNED_IN, is_peer, needed_for, needed_to_open


def test_every_request_has_its_rule() -> None:
    """A new message that nobody thought of here is refused to everyone but the own site's processes: so name it."""
    assert set(RULES) == set(typing.get_args(messages.Request))


def test_rules_name_fields_that_there_are() -> None:
    for kind, rule in RULES.items():
        fields = {field.name for field in msgspec.structs.fields(kind)}
        assert rule.keys in {*fields, ""}
        assert "region" in fields or rule.resource != "DATA" or rule.operation == "MANAGE"


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        (messages.PutAll("r", 0, ["k"], [b"v"]), "DATA:WRITE:r"),
        (messages.Change("r", 0, "remove", "k"), "DATA:WRITE:r"),
        (messages.Clear("r", 0, 1), "DATA:WRITE:r"),
        (messages.GetAll("r", ["k"]), "DATA:READ:r"),
        (messages.Keys("r", [0]), "DATA:READ:r"),
        (messages.Size("r", [0]), "DATA:READ:r"),
        (messages.Select("r", 1, "SELECT * FROM /r", 1, [0], 1), "DATA:READ:r"),
        (messages.Locate("r", "k"), "DATA:READ:r"),
        (messages.Listen("r", 0, [0], [0], 0), "DATA:READ:r"),
        (messages.SenderCommand("ny", "start"), "CLUSTER:MANAGE:GATEWAY"),
        (messages.GatewayQuery(), "CLUSTER:READ"),
        (messages.JoinQuery("m"), "CLUSTER:MANAGE"),
        (messages.Exchange(messages.LocatorInfo("l", 2, Address("h", 1), 0), [], []), "SITE:2"),
    ],
)
def test_what_requests_need(message: messages.Request, needed: str) -> None:
    assert str(needed_for(message)) == needed


def test_whoever_is_signed_in_may_look_for_members() -> None:
    assert needed_for(messages.SiteQuery()) is None
    assert [kind for kind, rule in RULES.items() if rule is SIGNED_IN] == [messages.SiteQuery]


def test_what_it_takes_to_open_a_link() -> None:
    opening = {role: needed_to_open(Hello(role, "x", 2), 1) for side, role in MAY_SEND if side is Side.OPENER}
    assert {role: str(needed) if needed else "" for role, needed in opening.items()} == {
        "client": "",
        "operator": "",
        "member": "CLUSTER:MANAGE",
        "server": "CLUSTER:MANAGE",
        "locator": "SITE:2",
        "sender": "SITE:2",
    }
    assert str(needed_to_open(Hello("locator", "x", 1), 1)) == "CLUSTER:MANAGE"
    assert is_peer(Hello("locator", "x", NO_SITE), NO_SITE)
    assert not is_peer(Hello("client", "x", 1), 1)
