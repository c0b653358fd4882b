"""Properties become settings, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.api.cache_config import read_options
from heliograph.api.client import Client
from heliograph.config.known import KNOWN, PROCESSES, REFUSED, Process
from heliograph.config.properties import Property
from heliograph.config.reading import read_settings
from heliograph.errors import UsageError
from heliograph.locator.config import LocatorConfig
from heliograph.member.config import MemberConfig
from heliograph.model.ids import Address


def written(directory: Path, text: str, name: str = "site.properties") -> Path:
    file = directory / name
    file.write_text(text)
    return file


def test_a_file_fills_in_options(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "name=l1\nport=1\nlocators=a[1],b:2\ndistributed-system-id=7\nmember-timeout=6000\ndisk-synchronous=TRUE\n"
        "engine=nats://h\nengine-ca-file=ca.pem",
    )
    assert read_settings("locator", file).options == {
        "name": "l1",
        "port": 1,
        "locators": (Address("a", 1), Address("b", 2)),
        "distributed_system_id": 7,
        "member_timeout_ms": 6000,
        "disk_synchronous": True,
        "engine": "nats://h",
        "engine_ca_file": str(tmp_path / "ca.pem"),
    }


def test_a_mapping_is_as_good_as_a_file() -> None:
    given = {"server-port": 5, "groups": ["a", "b"], "start-locator": "h[1]", "disk-synchronous": True}
    assert read_settings("server", given, None).options == {
        "server_port": 5,
        "groups": ("a", "b"),
        "start_locator": Address("h", 1),
        "disk_synchronous": True,
    }


def test_a_site_that_is_not_set_is_none() -> None:
    assert read_settings("locator", {"distributed-system-id": -1}).options == {}


@pytest.mark.parametrize(
    ("process", "given", "message"),
    [
        ("locator", {"disributed-system-id": "1"}, "there is no property disributed-system-id: do you mean distr"),
        ("locator", {"nonsense": "1"}, "there is no property nonsense$"),
        ("locator", {"server-port": "1"}, "server-port is not offered: it is for a server, and this is a locator"),
        ("client", {"name": "1"}, "name is not offered: it is for a locator or a server, and this is a client"),
        ("server", {"mcast-port": "1"}, "mcast-port is not offered .only 0.: members speak one protocol"),
        ("server", {"jmx-manager": "true"}, "there is no JMX here"),
        ("locator", {"port": "x"}, "port=x: write a whole number"),
        ("locator", {"disk-synchronous": "yes"}, "disk-synchronous=yes: write true or false"),
        ("locator", {"locators": "a"}, "locators=a: 'a' is not an address"),
        ("locator", {"port": object()}, "port is a object: give a text"),
        ("server", {"bind-address": "a", "server-bind-address": "b"}, "another property that means bind-address"),
        ("client", "missing.properties", "missing.properties can't be read"),
        ("client", 7, "path of a file or a mapping, not int"),
    ],
)  # fmt: skip
def test_what_is_not_meant_is_refused_by_name(process: Process, given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_settings(process, given)


def test_what_asks_for_what_is_done_anyway_is_accepted() -> None:
    asked = {"mcast-port": 0, "use-cluster-configuration": True, "jmx-manager": "FALSE", "server-port": 1}
    assert read_settings("server", asked).options == {"server_port": 1}


def test_what_the_command_line_gives_wins(tmp_path: Path) -> None:
    file = written(tmp_path, "name=a\ncache-xml-file=c.xml\nsecurity-username=u")
    over = [Property("name", "b", "--J"), Property("security-username", "v", "--user")]
    settings = read_settings("server", file, over=over)
    assert settings.options == {"name": "b", "cache_xml_file": str(tmp_path / "c.xml")}
    assert settings.security.username == "v"


def test_a_property_is_given_once(tmp_path: Path) -> None:
    one, other = written(tmp_path, "\nname=a"), written(tmp_path, "name=a", "other.properties")
    with pytest.raises(UsageError, match=r"other\.properties:1: name is given already in .*site\.properties:2"):
        read_settings("locator", one, other)


def test_the_tables_name_fields_that_there_are() -> None:
    of_files = {"directory", "tls", "security", "sources"}  # said where it is started, or by properties of their own
    assert {each.field for each in KNOWN["locator"].values()} == {*LocatorConfig.__struct_fields__} - of_files
    given = {name: "1" for name in KNOWN["server"] if name.startswith("server")}
    assert read_settings("server", {"server-port": given["server-port"]}).options == {"server_port": 1}
    for process in PROCESSES:
        assert not KNOWN[process].keys() & REFUSED.keys()


def test_what_is_given_otherwise_wins(tmp_path: Path) -> None:
    file = written(tmp_path, "name=other\nlocators=a[1]\nserver-port=1\ngroups=x y")
    config = read_options("s1", {"properties_file": file, "server_port": 2})
    assert config.member == MemberConfig(
        name="s1", directory="s1", locators=(Address("a", 1),), server_port=2, groups=("x", "y"),
        sources=dict.fromkeys(("locators", "groups"), "Properties files"),
    )  # fmt: skip
    assert Client(properties_file={"locators": "a[1]"}).locators == (Address("a", 1),)
    assert Client("b[2]", properties_file={"locators": "a[1]"}).locators == (Address("b", 2),)


def test_a_cache_xml_file_named_by_properties_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, "cache-xml-file=c.xml\nlocators=a[1]")
    with pytest.raises(UsageError, match=r"c\.xml"):
        read_options("s1", {"properties_file": file})
