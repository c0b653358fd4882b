"""What is shown of settings: where they come from, and no secret."""

from __future__ import annotations

from heliograph.config.tls import read_tls
from heliograph.locator.config import LocatorConfig
from heliograph.member.config import MemberConfig
from heliograph.model.ids import Address
from heliograph.process.settings import DEFAULTS, FILES, HIDDEN, OPTIONS, started_with
from heliograph.security.properties import SecurityProperties

SECRET = "sesame"


def test_settings_stand_below_where_they_were_said() -> None:
    config = LocatorConfig(
        name="l1", port=0, remote_locators=(Address("h", 1), Address("i", 2)), distributed_system_id=1,
        disk_synchronous=True, sources={"remote_locators": FILES},
    )  # fmt: skip
    sections = dict(started_with(config))
    assert [*sections] == [OPTIONS, FILES, DEFAULTS]
    assert sections[OPTIONS] == {
        "name": "l1", "port": "0", "distributed-system-id": "1", "disk-synchronous": "true"
    }  # fmt: skip
    assert sections[FILES] == {"remote-locators": "h[1],i[2]"}
    assert sections[DEFAULTS]["member-timeout"] == "5000"
    assert sections[DEFAULTS]["engine"] == ""


def test_no_secret_is_shown() -> None:
    tls = read_tls({
        "ssl-enabled-components": "all", "ssl-keystore": "/k.pem", "ssl-keystore-password": SECRET,
        "ssl-truststore": "/t.pem", "ssl-web-keystore": "/w.pem", "ssl-web-keystore-password": SECRET,
    })  # fmt: skip
    security = SecurityProperties(
        manager=f'a:b{{"x": "{SECRET}"}}', username="ada", password=SECRET,
        client_auth_init=f'c:d{{"x": "{SECRET}"}}', others={"security-my-key": SECRET},
    )  # fmt: skip
    engine = f"nats://me:@{SECRET}@h:1,nats://{SECRET}@i:2"
    shown = started_with(LocatorConfig(name="l1", engine=engine, tls=tls, security=security))
    shown += started_with(MemberConfig(name="s1", locators=(Address("h", 1),), tls=tls, security=security))
    assert SECRET not in str(shown)
    files = dict(shown)[FILES]
    assert (files["ssl-keystore"], files["ssl-keystore-password"]) == ("/k.pem", HIDDEN)
    assert (files["ssl-web-keystore"], files["ssl-web-keystore-password"]) == ("/w.pem", HIDDEN)
    assert (files["security-manager"], files["security-username"]) == ("a:b", "ada")
    assert (files["security-password"], files["security-my-key"]) == (HIDDEN, HIDDEN)
    assert dict(shown[:2])[OPTIONS]["engine"] == f"nats://{HIDDEN}@h:1,nats://{HIDDEN}@i:2"
