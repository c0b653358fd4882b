"""Names, addresses and site numbers: what is taken, and what is said of the rest."""

import pytest

from heliograph.errors import UsageError
from heliograph.model.ids import Address, check_name, check_region_name, check_site_id, parse_addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host[10334]", Address("host", 10334)),
        (" host:10334 ", Address("host", 10334)),
        ("10.0.0.1[0]", Address("10.0.0.1", 0)),
        ("host.example.com:65535", Address("host.example.com", 65535)),
        ("[::1]:7", Address("::1", 7)),
        ("::1[7]", Address("::1", 7)),
        ("fd00::a:1[10334]", Address("fd00::a:1", 10334)),
        ("[0:0:0:0:0:0:0:1]:7", Address("::1", 7)),
        ("FE80::1%eth0[7]", Address("fe80::1%eth0", 7)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host[]",
        "host[65536]",
        "host:port",
        "[1]",
        "host[1]x",
        ":1",
        "::1",
        "::1:7",
        "[::1]",
        "[::1",
        "a:b:1",
        "a:b[1]",
        "[a]:1x",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address: "):
        Address.parse(text)


def test_an_address_in_a_url() -> None:
    assert Address("::1", 7).endpoint == "[::1]:7"
    assert Address("host", 7).endpoint == "host:7"


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", ()),
        (" , ", ()),
        ("a[1], b:2,", (Address("a", 1), Address("b", 2))),
    ],
)
def test_lists_of_addresses(text: str, addresses: tuple[Address, ...]) -> None:
    assert parse_addresses(text) == addresses


@pytest.mark.parametrize("name", ["a", "_a", "7", "a-b_c", "x" * 128])
def test_names(name: str) -> None:
    assert check_name("member", name) == name
    assert check_region_name(name) == check_region_name("/" + name) == name


@pytest.mark.parametrize("name", ["", "-a", "a b", "a.b", "a/b", "é", "a\n", "x" * 129])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="can't name a gateway sender: use letters, digits"):
        check_name("gateway sender", name)
    with pytest.raises(UsageError, match="can't name a region"):
        check_region_name("/" + name)


@pytest.mark.parametrize("site", [0, 1, 255])
def test_site_numbers(site: int) -> None:
    assert check_site_id(site) == site


@pytest.mark.parametrize("site", [-1, 256])
def test_what_is_no_site_number(site: int) -> None:
    with pytest.raises(UsageError, match=f"distributed-system-id {site} is out of range: use 0 to 255"):
        check_site_id(site)
