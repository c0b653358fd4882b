from __future__ import annotations

import pytest

from heliograph.errors import UsageError
from heliograph.gfsh.variables import Variables


def test_a_variable_stands_for_its_value_and_an_unset_one_for_nothing() -> None:
    variables = Variables()
    variables.set("REGION", "customer")
    assert variables.expand("get --region=${REGION} --key=${NONE}1 $REGION ${a-b}") == (
        "get --region=customer --key=1 $REGION ${a-b}"
    )
    assert variables.expand("${APP_NAME}") == "gfsh"
    assert ("REGION", "customer") in variables.items()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("1A", "x", "can't name a variable"),
        ("A-B", "x", "can't name a variable"),
        ("", "x", "can't name a variable"),
        ("APP_PWD", "x", "belongs to the shell"),
        ("APP_LAST_EXIT_STATUS", "x", "belongs to the shell"),
        ("SYS_ANYTHING", "x", "belongs to the shell"),
        ("APP_FETCH_SIZE", "0", "use a number"),
        ("APP_QUIET_EXECUTION", "perhaps", "use true or false"),
        ("APP_RESULT_VIEWER", "external", "always basic"),
        ("APP_QUERY_RESULTS_DISPLAY_MODE", "catalog", "always table"),
        ("APP_COLLECTION_LIMIT", "5", "shown whole"),
    ],
)
def test_what_can_not_be_set(name: str, value: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        Variables().set(name, value)
