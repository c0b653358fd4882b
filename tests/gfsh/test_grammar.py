from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.gfsh.grammar import ADDRESS, ADDRESSES, BOOLEAN, TEXT_LIST, attributes, command, join_options
from heliograph.gfsh.grammar import given as given_options
from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.ids import Address


@command("probe")
@click.option("--name")
@click.option("--flag", type=BOOLEAN, default=False)
@click.option("--count", type=int)
@click.option("--group", "--groups", "groups", type=TEXT_LIST)
@click.option("--at", type=ADDRESS)
@click.option("--others", type=ADDRESSES)
@click.option("--J", "java", multiple=True)
def probe(**options: Any) -> dict[str, Any]:
    return given_options(options)


def parse(*words: str) -> dict[str, Any]:
    parsed: dict[str, Any] = probe.main(list(words), standalone_mode=False)
    return {name: value for name, value in parsed.items() if value not in (False, ())}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--name=a"], {"name": "a"}),
        (["--name", "a"], {"name": "a"}),
        (["--name", "-1"], {"name": "-1"}),
        (["--count", "-1"], {"count": -1}),
        (["--count=-1"], {"count": -1}),
        (["--flag"], {"flag": True}),
        (["--flag", "true"], {"flag": True}),
        (["--flag=TRUE"], {"flag": True}),
        (["--flag=false"], {}),
        (["--flag", "--name=a"], {"flag": True, "name": "a"}),
        (["--name"], {"name": ""}),
        (["--count"], {}),
        (["--name=--flag"], {"name": "--flag"}),
        (["--groups=a, b,,c"], {"groups": ("a", "b", "c")}),
        (["--at=h[1]"], {"at": Address("h", 1)}),
        (["--others=h[1],i:2"], {"others": (Address("h", 1), Address("i", 2))}),
        (["--J=-Da=b", "--J", "-Dc=d"], {"java": ("-Da=b", "-Dc=d")}),
    ],
)
def test_options_are_written_as_in_gfsh(words: list[str], expected: dict[str, Any]) -> None:
    assert parse(*words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unknown=1"], "No such option"),
        (["--nam=1"], "No such option"),
        (["--name=a", "--name=b"], "--name is given twice"),
        (["--group=a", "--groups=b"], "--group and --groups are one option"),
        (["--flag=maybe"], "neither true nor false"),
        (["--flag="], "neither true nor false"),
        (["--count=x"], "not a valid integer"),
        (["--at=h"], "is not an address"),
        (["--others=h[1],i"], "is not an address"),
        (["extra"], "unexpected extra argument"),
    ],
)
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        parse(*words)


@given(st.lists(st.sampled_from(["--flag", "--name", "--count", "--name=a", "--x", "a", "-1", "--J", "--groups=b"])))
def test_joining_is_settled_by_one_pass(words: list[str]) -> None:
    try:
        joined = join_options(words, probe.params)
    except click.UsageError:
        return
    assert join_options(joined, probe.params) == joined


def test_an_attribute_struct_gives_its_options() -> None:
    helps = dict.fromkeys(GatewaySenderAttributes.__struct_fields__, "Help.")

    @command("probe")
    @attributes(GatewaySenderAttributes, helps, spelled={"id": ("id", "name")}, optional=("id",))
    def create(**options: Any) -> GatewaySenderAttributes:
        return GatewaySenderAttributes(**{"id": "made-up", **given_options(options)})

    words = ["--remote-distributed-system-id=2", "--parallel", "--batch-size=7", "--order-policy=PARTITION"]
    made = create.main(words, standalone_mode=False)
    assert made == GatewaySenderAttributes(
        id="made-up", remote_distributed_system_id=2, parallel=True, batch_size=7, order_policy="partition"
    )
    with pytest.raises(click.MissingParameter):
        create.main(["--name=a"], standalone_mode=False)
    assert "[default: 100]" in create.get_help(click.Context(create))
