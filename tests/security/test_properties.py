from __future__ import annotations

import pytest

from heliograph.errors import UsageError
from heliograph.security.properties import NO_SECURITY_PROPERTIES, read_security

FILE = {"security-manager": "file", "security-users-file": "users.json"}


def test_what_is_said() -> None:
    given = {**FILE, "security-username": "ln", "security-password": "sesame", "name": "x"}
    read = read_security(given)
    assert (read.manager, read.users_file, read.username, read.password) == ("file", "users.json", "ln", "sesame")
    assert read.given == {"security-username": "ln", "security-password": "sesame"}
    assert "sesame" not in repr(read)
    assert read_security({"name": "x"}) == NO_SECURITY_PROPERTIES


def test_others_are_for_providers() -> None:
    read = read_security({"security-client-auth-init": "a:B", "security-realm": "north"})
    assert read.given == {"security-realm": "north"}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"security-manager": "file"}, "security-users-file goes with security-manager=file"),
        ({"security-users-file": "users.json"}, "security-users-file goes with"),
        ({"security-manager": "users"}, "security-manager 'users': write module:object"),
        ({"security-client-auth-init": "x"}, "security-client-auth-init 'x'"),
        ({"security-password": "sesame"}, "without security-username"),
        ({"security-usernam": "x"}, "security-usernam: no effect without security-client-auth-init"),
        ({"security-post-processor": "a:B"}, "security-post-processor: values are not changed"),
    ],
)
def test_what_does_not_fit(properties: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read_security(properties)
    assert "sesame" not in str(raised.value)
