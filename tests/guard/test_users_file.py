from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import AuthenticationError, AuthenticationExpiredError, UsageError
from heliograph.guard.users_file import REMEMBERED_MAX, FileManager
from heliograph.security.passwords import N_MIN, hash_password
from heliograph.security.permissions import Permission
from heliograph.security.users import PASSWORD, USERNAME

READ = Permission("CLUSTER", "READ")
WRONG = "wrong name or password"


class Clock:
    now = 1_000_000_000_000

    def now_ms(self) -> int:
        return self.now


def hashed(password: str) -> str:
    return hash_password(password, bytes(16), n=N_MIN).text()


def user(password: str, *permissions: str, **more: Any) -> dict[str, Any]:
    return {"password": hashed(password), "permissions": permissions, **more}


def said(name: str, password: str) -> dict[str, str]:
    return {USERNAME: name, PASSWORD: password}


Write = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


@pytest.fixture
def write(path: Path) -> Write:
    def write(**users: dict[str, Any]) -> None:
        path.write_text(json.dumps({"users": users}))

    return write


def test_who_it_is(path: Path, write: Write) -> None:
    write(ada=user("sesame", "CLUSTER:READ"))
    manager = FileManager(path, Clock())
    assert manager.known(said("ada", "sesame")) is None
    ada = manager.authenticate(said("ada", "sesame"))
    assert str(ada) == "ada"
    assert manager.known(said("ada", "sesame")) is ada
    assert manager.authorize(ada, READ)
    assert not manager.authorize(ada, Permission("CLUSTER", "MANAGE"))
    for wrong in (said("ada", "Sesame"), said("bob", "sesame"), said("ada", "")):
        assert manager.known(wrong) is None
        with pytest.raises(AuthenticationError, match=WRONG) as raised:
            manager.authenticate(wrong)
        assert "esame" not in str(raised.value)
    with pytest.raises(AuthenticationError, match="give security-username"):
        manager.authenticate({"security-token": "abc"})


def test_name_and_password_are_not_taken_for_each_other(path: Path, write: Write) -> None:
    write(ab=user("c"), a=user("x"))
    manager = FileManager(path, Clock())
    manager.authenticate(said("ab", "c"))
    assert manager.known(said("a", "bc")) is None


def test_a_file_that_changes_is_read_anew(path: Path, write: Write) -> None:
    write(ada=user("sesame", "CLUSTER:READ"), bob=user("bob"))
    manager = FileManager(path, Clock())
    ada, bob = manager.authenticate(said("ada", "sesame")), manager.authenticate(said("bob", "bob"))
    assert not manager.look()
    write(ada=user("sesame"), cyd=user("new"))
    assert manager.look()
    assert not manager.look()
    assert manager.holds(ada)
    assert not manager.authorize(ada, READ)
    assert not manager.holds(bob)
    assert manager.known(said("bob", "bob")) is None
    manager.authenticate(said("cyd", "new"))
    write(ada=user("other"))
    assert manager.look()
    assert not manager.holds(ada)
    assert manager.known(said("ada", "sesame")) is None
    with pytest.raises(AuthenticationError, match=WRONG):
        manager.authenticate(said("ada", "sesame"))


@pytest.mark.parametrize("content", [None, "{", '{"users": {"ada": {"password": "sesame"}}}'])
def test_a_broken_file_leaves_the_old_users(
    path: Path, write: Write, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    write(ada=user("sesame", "CLUSTER:READ"))
    manager = FileManager(path, Clock())
    ada = manager.authenticate(said("ada", "sesame"))
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert not manager.look()
        assert not manager.look()
    assert [record.message.partition(" file=")[0] for record in caplog.records] == [
        "users not read anew, the old ones stay"
    ]
    assert "sesame" not in caplog.text
    assert manager.authorize(ada, READ)
    write(ada=user("sesame"))
    assert manager.look()
    assert not manager.authorize(ada, READ)


def test_a_file_that_is_broken_from_the_beginning_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match=r"security-users-file .*users.json: No such file"):
        FileManager(path, Clock())
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"users.json: .*required field `users`"):
        FileManager(path, Clock())


def test_users_expire(path: Path, write: Write) -> None:
    clock = Clock()
    write(ada=user("sesame", "CLUSTER:READ", expires="2001-09-09T01:46:41Z"), bob=user("bob"))
    manager = FileManager(path, clock)
    ada = manager.authenticate(said("ada", "sesame"))
    clock.now += 999
    assert not manager.look()
    assert manager.authorize(ada, READ)
    clock.now += 1
    assert manager.look()
    assert not manager.look()
    assert not manager.authorize(ada, READ)
    assert manager.known(said("ada", "sesame")) is None
    with pytest.raises(AuthenticationExpiredError, match="user 'ada' has expired"):
        manager.authenticate(said("ada", "sesame"))


def test_what_is_remembered_is_bounded(path: Path, write: Write) -> None:
    write(ada=user("sesame"))
    manager = FileManager(path, Clock())
    manager._right = {number.to_bytes(4, "big"): manager._users["ada"].password for number in range(REMEMBERED_MAX)}
    manager.authenticate(said("ada", "sesame"))
    assert len(manager._right) == REMEMBERED_MAX
    assert manager.known(said("ada", "sesame"))
