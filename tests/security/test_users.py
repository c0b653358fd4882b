from __future__ import annotations

import json

import pytest

from heliograph.errors import UsageError
from heliograph.security.passwords import N_MIN, hash_password, parse_hash
from heliograph.security.permissions import Permission, site_permission
from heliograph.security.users import read_users

SALT = bytes(range(16))
HASH = hash_password("sesame", SALT, n=N_MIN).text()
"""Weak, to be quick."""
READ, MANAGE = Permission("CLUSTER", "READ"), Permission("CLUSTER", "MANAGE")
FILE = {
    "roles": {"watch": ["CLUSTER:READ"], "own": ["CLUSTER:MANAGE"]},
    "users": {
        "ada": {
            "password": HASH,
            "roles": ["watch"],
            "permissions": ["DATA:READ:r"],
            "expires": "2030-01-01T00:00:00Z",
        },
        "ny": {"password": HASH, "sites": [2]},
    },
}
TOML = f"""
[roles]
watch = ["CLUSTER:READ"]
own = ["CLUSTER:MANAGE"]
[users.ada]
password = "{HASH}"
roles = ["watch"]
permissions = ["DATA:READ:r"]
expires = 2030-01-01T00:00:00Z
[users.ny]
password = "{HASH}"
sites = [2]
"""


@pytest.mark.parametrize(("data", "toml"), [(json.dumps(FILE), False), (TOML, True)])
def test_a_file_of_users(data: str, toml: bool) -> None:
    users = read_users(data.encode(), toml=toml)
    ada, ny = users["ada"], users["ny"]
    assert ada.may(READ)
    assert ada.may(Permission("DATA", "READ", "r", "k"))
    assert not ada.may(MANAGE)
    assert not ada.may(site_permission(2))
    assert ny.may(site_permission(2))
    assert not ny.may(READ)
    assert (ada.expired(1_893_456_000_000), ada.expired(1_893_455_999_999), ny.expired(2**60)) == (True, False, False)
    assert str(ada) == "ada"
    assert "scrypt" not in repr(ada)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "truncated|malformed"),
        ('{"user": {}}', "unknown field `user`|missing required field"),
        ('{"users": {"a": {"password": "sesame"}}}', "password of user a: it is no password hash"),
        ('{"users": {"a": {"password": "scrypt:1024:8:1:AA:AA"}}}', "password of user a"),
        (json.dumps({"users": {"a": {"password": HASH, "roles": ["x"]}}}), "user a: there is no role x"),
        (json.dumps({"users": {"a": {"password": HASH, "permissions": ["READ"]}}}), "user a: permission 'READ'"),
        (json.dumps({"users": {"a": {"password": HASH, "sites": [300]}}}), "user a: permission 'SITE:300'"),
        (json.dumps({"users": {"a": {"password": HASH, "expires": "2030-01-01T00:00:00"}}}), "needs a time zone"),
        (json.dumps({"users": {}, "roles": {"r": ["CLUSTER:LOOK"]}}), "role r: permission"),
        (json.dumps({"users": {"": {"password": HASH}}}), "a name has"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_and_no_secret(data: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read_users(data.encode(), toml=False)
    assert "sesame" not in str(raised.value)
    assert HASH.rpartition(":")[2] not in str(raised.value)


def test_passwords() -> None:
    stored = parse_hash(HASH)
    assert stored.fits("sesame")
    assert not stored.fits("Sesame")
    assert hash_password("sesame", bytes(16), n=N_MIN) != stored
    assert HASH not in repr(stored)
    assert parse_hash(hash_password("pass:wörd", SALT).text()).fits("pass:wörd")


@pytest.mark.parametrize("text", ["scrypt:512:8:1", "scrypt:1000:8:1", "scrypt:1048576:16:1", "scrypt:1024:8:9"])
def test_hashes_that_are_weak_or_cost_too_much(text: str) -> None:
    with pytest.raises(UsageError, match="too weak or cost too much"):
        parse_hash(":".join([text, *HASH.split(":")[4:]]))
