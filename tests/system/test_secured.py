"""A secured site in real processes: who is refused, how soon, what the logs say, and that no secret is anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

import heliograph
from heliograph.errors import AuthenticationError, NotAuthorizedError
from heliograph.gfsh.dispatch import execute
from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.guard.security import Security
from heliograph.link.hello import Hello
from heliograph.model.ids import Address
from heliograph.model.results import Result
from heliograph.net.link import BaseHandler, connect_link
from heliograph.net.real import RealNetwork
from heliograph.security.passwords import N_MIN, hash_password
from heliograph.security.properties import SecurityProperties
from tests.system.sites import processes_in
from tests.system.waiting import until

SECRETS = {name: f"{name}-5ecret" for name in ("ln", "ny", "ada", "app", "root")}
WRONG = "wr0ng-5ecret"
SOON_S = 1.0


def users(**permissions: object) -> str:
    def one(name: str, more: object) -> dict[str, object]:
        password = hash_password(SECRETS[name], os.urandom(16), n=N_MIN).text()
        return {"password": password, **(more if isinstance(more, dict) else {"permissions": more})}

    return json.dumps({"users": {name: one(name, more) for name, more in permissions.items()}})


EVERYBODY = {
    "ln": ["CLUSTER:MANAGE"],
    "ny": {"sites": [2]},
    "ada": ["CLUSTER:READ"],
    "root": ["*"],
    "app": ["DATA:READ,WRITE:customer"],
}


class Site:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address = Address("127.0.0.1", free_ports(1))
        self.told: list[str] = []
        """All that commands and errors said."""
        self.file = directory / "users.json"
        self.file.write_text(users(**EVERYBODY))
        (directory / "ln.properties").write_text(
            "security-manager=file\nsecurity-users-file=users.json\n"
            f"security-username=ln\nsecurity-password={SECRETS['ln']}\n"
        )

    def run(self, *lines: list[str]) -> Result:
        """Run commands in one session; returns what the last one said."""
        session = Session(Printer())
        try:
            for words in lines:
                result = execute(session, words)
                self.told.append(repr(result))
            return result
        finally:
            session.disconnect()

    def as_user(self, name: str, *words: str, password: str = "") -> Result:
        secret = password or SECRETS[name]
        connect = ["connect", f"--locator={self.address}", f"--user={name}", f"--password={secret}"]
        return self.run(connect, *([list(words)] if words else []))

    def start(self) -> None:
        secured = f"--security-properties-file={self.directory / 'ln.properties'}"
        for words in (
            ["start", "locator", "--name=l", f"--port={self.address.port}", "--http-service-port=0", "--connect=false",
             "--distributed-system-id=1", "--bind-address=127.0.0.1"],
            ["start", "server", "--name=s", f"--locators={self.address}", "--server-port=0",
             "--server-bind-address=127.0.0.1"],
        ):  # fmt: skip
            result = self.run([*words, f"--dir={self.directory / words[2][-1]}", secured])
            assert result.status == "OK", result

    def stop(self) -> None:
        for kind, name in (("server", "s"), ("locator", "l")):
            self.run(["stop", kind, f"--dir={self.directory / name}"])

    def log(self, name: str) -> str:
        return (self.directory / name / f"{name}.log").read_text()

    def refused_link(self, at: Address, user: str, role: str, dsid: int = -1) -> float:
        """Try to open a link that is refused, and return how long that took."""

        async def attempt() -> None:
            properties = SecurityProperties(username=user, password=SECRETS[user]) if user else SecurityProperties()
            introduction = Security(properties).to_others
            hello = Hello(role, "stranger", dsid)
            await connect_link(RealNetwork(), at, hello, BaseHandler(), timeout_s=5, introduction=introduction)

        began = time.monotonic()
        with pytest.raises(AuthenticationError) as raised:
            asyncio.run(attempt())
        self.told.append(str(raised.value))
        return time.monotonic() - began


def test_a_secured_site(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        site.start()
        _play(site)
        processes = processes_in(tmp_path)
        assert len(processes) >= 2
        shown = "\n".join([*site.told, *(" ".join(process.cmdline()) for process in processes)])
    finally:
        site.stop()
    for name in ("l", "s"):
        shown += site.log(name)
        assert "Traceback" not in site.log(name)
    assert not [secret for secret in (*SECRETS.values(), WRONG) if secret in shown]


def _play(site: Site) -> None:
    for words in (
        ("create", "region", "--name=customer"),
        ("create", "region", "--name=orders"),
        ("create", "gateway-receiver", "--bind-address=127.0.0.1"),
    ):
        result = site.as_user("root", *words)
        assert result.status == "OK", result
    _strangers(site)  # first: of many refusals only a few are logged
    _clients(site)
    _operators(site)
    _changes(site)


def _clients(site: Site) -> None:
    with heliograph.connect([site.address], user="app", password=SECRETS["app"]) as client:
        customer = client.region("customer")
        customer.put_all({str(number): number for number in range(100)})
        assert len(customer) == 100
        with pytest.raises(NotAuthorizedError, match="user app is not authorized for DATA:WRITE:orders") as refused:
            client.region("orders")["1"] = 1
        site.told.append(str(refused.value))
        assert customer["7"] == 7
    for user, password in (("", ""), ("app", WRONG), ("nobody", WRONG)):
        began = time.monotonic()
        with pytest.raises(AuthenticationError) as failed:
            heliograph.connect([site.address], user=user, password=password)
        assert time.monotonic() - began < SOON_S
        site.told.append(str(failed.value))


def _operators(site: Site) -> None:
    assert site.as_user("ada", "list", "gateways").status == "OK"
    result = site.as_user("ada", "stop", "gateway-receiver")
    assert (result.status, result.info) == ("ERROR", ["user ada is not authorized for CLUSTER:MANAGE:GATEWAY"])
    for words in (
        ("show", "log", "--member=s"),
        ("describe", "config", "--member=l"),
        ("describe", "config", "--member=s"),
    ):
        assert site.as_user("ada", *words).status == "OK"
    result = site.as_user("ada", "change", "loglevel", "--loglevel=fine", "--members=l,s")
    assert (result.status, result.info) == ("ERROR", ["user ada is not authorized for CLUSTER:WRITE"])
    result = site.as_user("ada", "shutdown", "--include-locators=true")
    assert [row[2] for row in result.tables[0].rows] == [
        "user ada is not authorized for CLUSTER:MANAGE", "left running, for a member before it is",
    ]  # fmt: skip
    result = site.as_user("root", "change", "loglevel", "--loglevel=fine", "--members=l,s")
    assert [row[1] for row in result.tables[0].rows] == ["true", "true"], result
    assert site.as_user("ada", password=WRONG).status == "ERROR"
    assert site.run(["connect", f"--locator={site.address}"]).status == "ERROR"


def _strangers(site: Site) -> None:
    """Who says it is another site than its credentials are for, or has none."""
    receiver = _receiver(site)
    for at, user, role, dsid in (
        (site.address, "ny", "locator", 3),
        (site.address, "ny", "member", 1),
        (site.address, "", "client", -1),
        (receiver, "ny", "sender", 3),
        (receiver, "", "sender", 2),
    ):
        assert site.refused_link(at, user, role, dsid) < SOON_S
    assert "reason='user ny is not authorized for SITE:3, which locator stranger of site 3 needs'" in site.log("l")
    assert "reason='user ny is not authorized for SITE:3, which sender stranger of site 3 needs'" in site.log("s")
    assert "who are you?" in site.log("l")
    # Who was asked for credentials and has none hangs up, which the receiver notices in its own time.
    until(lambda: "sender stranger of site 2 at 127.0.0.1[" in site.log("s"), "it is logged")


def _receiver(site: Site) -> Address:
    table = site.as_user("root", "status", "gateway-receiver").tables[0]
    port = table.rows[0][table.columns.index("Port")]
    return Address("127.0.0.1", int(port))


def _changes(site: Site) -> None:
    """What the file takes away is taken from links that are open, and nothing else is disturbed."""
    with heliograph.connect([site.address], user="app", password=SECRETS["app"], timeout_s=5) as client:
        customer = client.region("customer")
        assert customer["7"] == 7
        site.file.write_text(users(**{**EVERYBODY, "app": ["DATA:READ:orders"]}))

        def refused() -> bool:
            try:
                customer["7"]
            except NotAuthorizedError:
                return True
            return False

        until(refused, "the right that was taken away is gone", within_s=10)
        site.file.write_text(users(**EVERYBODY))
        until(lambda: not refused(), "the right is back", within_s=10)
