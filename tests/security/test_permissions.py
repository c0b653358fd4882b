from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.security.permissions import (
    OPERATIONS,
    TARGETS,
    Permission,
    implied,
    key_text,
    parse_grant,
    parse_grants,
    site_permission,
)


def needs(text: str) -> Permission:
    return Permission(*text.split(":", 3))


@pytest.mark.parametrize(
    ("granted", "allows", "not_"),
    [
        ("CLUSTER", "CLUSTER:READ CLUSTER:MANAGE CLUSTER:MANAGE:GATEWAY", "DATA:READ SITE:1"),
        ("*", "CLUSTER:READ DATA:READ:customer:42", ""),
        ("*:READ", "CLUSTER:READ DATA:READ", "DATA:WRITE"),
        ("cluster:manage", "CLUSTER:MANAGE CLUSTER:MANAGE:GATEWAY", "CLUSTER:READ"),
        ("CLUSTER:MANAGE:GATEWAY", "CLUSTER:MANAGE:GATEWAY", "CLUSTER:MANAGE CLUSTER:MANAGE:DISK"),
        ("CLUSTER:MANAGE:GATEWAY,DISK", "CLUSTER:MANAGE:GATEWAY CLUSTER:MANAGE:DISK", "CLUSTER:MANAGE:DEPLOY"),
        ("CLUSTER:MANAGE:all", "CLUSTER:MANAGE", ""),
        ("DATA", "DATA:READ:customer:42 DATA:MANAGE", "CLUSTER:READ"),
        ("DATA:READ", "DATA:READ DATA:READ:customer DATA:READ:customer:42", "DATA:WRITE:customer"),
        ("DATA:READ:customer", "DATA:READ:customer DATA:READ:customer:42", "DATA:READ DATA:READ:Customer"),
        ("DATA:READ:/customer:42", "DATA:READ:customer:42", "DATA:READ:customer DATA:READ:customer:43"),
        ("DATA:READ:customer:a:b,*", "DATA:READ:customer:a:b,*", "DATA:READ:customer:a"),
        ("DATA:READ,WRITE:customer,order", "DATA:READ:order DATA:WRITE:customer", "DATA:MANAGE:order"),
        ("DATA:*:customer", "DATA:MANAGE:customer", "DATA:READ:order"),
        ("SITE:2", "SITE:2", "SITE:3 SITE:22"),
        ("SITE:2,3", "SITE:2 SITE:3", "SITE:1"),
        ("SITE", "SITE:7", "CLUSTER:READ"),
    ],
)
def test_what_implies_what(granted: str, allows: str, not_: str) -> None:
    grant = parse_grant(granted)
    for text in allows.split():
        assert grant.implies(needs(text)), text
    for text in not_.split():
        assert not grant.implies(needs(text)), text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begin with CLUSTER, DATA, SITE or"),
        ("CLUSTERS:READ", "begin with"),
        ("DATA:PUT", "its second part is READ, WRITE, MANAGE"),
        ("CLUSTER:MANAGE:GATEWAYS", "its third part is GATEWAY"),
        ("CLUSTER:MANAGE:GATEWAY:ny", "a part too many"),
        ("SITE:256", "0 to 255"),
        ("SITE:READ", "0 to 255"),
        ("SITE:2:x", "a part too many"),
    ],
)
def test_what_is_no_permission(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_grant(text)


WORDS = st.text("ab*,: /", max_size=4)
NEEDED = st.builds(Permission, st.just("DATA"), st.sampled_from(OPERATIONS), st.text("ab", max_size=2), WORDS)


@given(NEEDED)
def test_what_is_wide_implies_what_is_narrower(needed: Permission) -> None:
    assert parse_grant("DATA").implies(needed)
    assert parse_grant(f"DATA:{needed.operation}").implies(needed)
    assert parse_grant(f"DATA:{needed.operation}:{needed.target or '*'}").implies(needed)
    other = next(each for each in OPERATIONS if each != needed.operation)
    assert not parse_grant(f"DATA:{other}").implies(needed)
    if needed.target:
        narrow = Permission("DATA", needed.operation, needed.target)
        assert not parse_grant(f"DATA:{needed.operation}:{needed.target}:k").implies(narrow)
        assert not parse_grant(f"DATA:{needed.operation}:{needed.target}x").implies(needed)


@given(st.sampled_from(OPERATIONS), st.sampled_from(TARGETS))
def test_a_permission_is_granted_as_it_is_written(operation: str, target: str) -> None:
    for permission in (
        Permission("CLUSTER", operation, target),
        Permission("DATA", operation, "r", "k"),
        needs("SITE:9"),
    ):
        assert parse_grant(str(permission)).implies(permission)


def test_words() -> None:
    assert str(Permission("DATA", "READ", "", "k")) == "DATA:READ:*:k"
    assert str(site_permission(2)) == "SITE:2"
    assert [key_text(key) for key in ("a", 7, b"\x01\xff")] == ["a", "7", "01ff"]
    grants = parse_grants(["CLUSTER:READ", "SITE:2"])
    assert implied(grants, needs("SITE:2"))
    assert not implied(grants, needs("SITE:3"))
    assert not implied((), needs("SITE:2"))
