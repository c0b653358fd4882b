"""What the routes of the admin API are given, and how they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from litestar import MediaType, Response
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from heliograph.locator.cluster import Targets
from heliograph.locator.site import SiteAdmin
from heliograph.model.results import Result

OK, MEMBERS_FAILED = 200, 502

Site = NamedDependency[SiteAdmin]
Names = Annotated[str, QueryParameter(description="comma-separated names; member and group exclude each other")]
Whole = Annotated[int, QueryParameter(ge=-(2**63), le=2**63 - 1, description="a whole number of 64 bits")]
"""What every message between members can carry."""
Flag = Annotated[bool, QueryParameter(description="true or false")]
Answer = Response[Result]


def answer(result: Result) -> Answer:
    """Return a result with its HTTP status."""
    return respond(result, OK if result.status == "OK" else MEMBERS_FAILED)


def names(text: str) -> tuple[str, ...]:
    """Read comma-separated names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def targets(member: str, group: str) -> Targets:
    """Read the servers that a command is for. Raises UsageError when both are given."""
    return Targets(names(member), names(group))


def respond(result: Result, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a result with an HTTP status."""
    return Response(result, status_code=status, media_type=MediaType.JSON, headers=headers)
