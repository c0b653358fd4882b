"""Conflicts between sites: who decides on them, and how they ended."""

from __future__ import annotations

import click

from heliograph.gfsh.grammar import BOOLEAN, attributes, command
from heliograph.gfsh.session import Session
from heliograph.model.attributes import GatewayConflictResolverAttributes
from heliograph.model.ids import check_region_name
from heliograph.model.results import Result

PATH = "/gateway-conflict-resolver"


@command("create gateway-conflict-resolver")
@attributes(
    GatewayConflictResolverAttributes,
    {"resolver": 'What decides: module:object, with parameters as module:object{"name": value}.'},
)
@click.pass_obj
def create_resolver(session: Session, resolver: str) -> Result:
    """Have a resolver decide on conflicts between sites, instead of the newer version."""
    return session.client.call("POST", PATH, GatewayConflictResolverAttributes(resolver=resolver))


@command("destroy gateway-conflict-resolver")
@click.option("--if-exists", type=BOOLEAN, default=False, help="Succeed when there is none. [default: false]")
@click.pass_obj
def destroy_resolver(session: Session, if_exists: bool) -> Result:
    """Have the newer version win again."""
    return session.client.call("DELETE", PATH, query={"if_exists": if_exists})


@command("list conflicts")
@click.option("--region", default="", help="Only of this region.")
@click.option("--key", help="Only of this key.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="Newest ones to show. [default: 100]")
@click.pass_obj
def list_conflicts(session: Session, region: str, key: str | None, limit: int) -> Result:
    """Show how conflicts between sites ended, and the newest ones that the members remember."""
    query: dict[str, str | bool] = {"limit": str(limit)}
    if region:
        query["region"] = check_region_name(region)
    if key is not None:
        query["key"] = key
    return session.client.call("GET", "/conflicts", query=query)


COMMANDS = (create_resolver, destroy_resolver, list_conflicts)
