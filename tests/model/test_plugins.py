from __future__ import annotations

import re

import pytest

from heliograph.errors import UsageError
from heliograph.model.plugins import load_plugin, read_plugin, split_plugins, with_parameters


class Depth:
    def __init__(self, depth: int = 1) -> None:
        self.depth = depth

    def dive(self) -> int:
        return self.depth


NO_FUNCTION = 3
HERE = f"{__name__}:"


def load(name: str, *methods: str, any_of_them: bool = False) -> Depth:
    plugin: Depth = load_plugin("gateway-event-filter", name, methods, any_of_them=any_of_them)
    return plugin


def test_an_object_is_called_with_the_parameters_and_makes_the_plugin() -> None:
    assert load(HERE + "Depth", "dive").dive() == 1
    assert load(HERE + 'Depth{"depth": 3}', "dive").dive() == 3
    assert load(HERE + "Depth{}", "dive", "rise", any_of_them=True).dive() == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "write module:object"),
        ("a:b[1]", "write module:object"),
        (HERE + "Depth{depth: 3}", "no JSON object"),
        ("no_such_module:Depth", "can't be loaded: ModuleNotFoundError"),
        (HERE + "Width", "can't be loaded: AttributeError"),
        (HERE + "NO_FUNCTION", "neither a class nor a function"),
        (HERE + 'Depth{"width": 3}', "can't be made with the parameters width: TypeError"),
        (HERE + "Depth", "has no method rise: it needs rise"),
    ],
)
def test_what_can_not_be_a_plugin_is_refused_saying_what_to_change(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        load(name, "rise")


def test_names_are_split_at_commas_outside_of_parameters() -> None:
    assert split_plugins('a:b, c:d{"x": [1, 2], "y": "},{"},e:f') == ("a:b", 'c:d{"x": [1, 2], "y": "},{"}', "e:f")
    assert split_plugins(" ,") == ()
    with pytest.raises(UsageError, match="what follows 'a:b' is no JSON"):
        split_plugins("a:b{x}")


def test_parameters_can_be_added() -> None:
    assert read_plugin("listener", with_parameters("listener", 'a:b{"x": 1}', {"y": "2"})) == (
        "a:b",
        {"x": 1, "y": "2"},
    )
    assert with_parameters("listener", "a:b", {}) == "a:b"
    with pytest.raises(UsageError, match="the parameter x is given twice"):
        with_parameters("listener", 'a:b{"x": 1}', {"x": "2"})
