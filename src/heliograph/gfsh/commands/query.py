"""query: what of a region's entries a query selects."""

from __future__ import annotations

from pathlib import Path

import click

from heliograph.errors import UsageError
from heliograph.gfsh.commands.regions import region_path
from heliograph.gfsh.consent import agreed
from heliograph.gfsh.grammar import command, refused
from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.gfsh.variables import APP_FETCH_SIZE
from heliograph.model import refusals
from heliograph.model.results import Result, failed
from heliograph.query.parser import parse_query


@command("query")
@click.option("--query", "text", required=True, help="The query: SELECT * FROM /region WHERE … ORDER BY … LIMIT …")
@click.option("--file", "name", help="File that the rows are written to, instead of to the screen.")
@refused(refusals.QUERY)
@click.pass_obj
def query(session: Session, text: str, name: str | None) -> Result:
    """Show the entries of a region that a query selects; without a LIMIT, as many as APP_FETCH_SIZE says."""
    client = session.client
    if not text.strip():
        raise UsageError("--query is empty: write SELECT * FROM /region, for instance")
    path = None if name is None else Path(name)
    if path is not None and path.exists() and not agreed(f"{path} exists. Overwrite it?"):
        return failed(f"{path} exists, and was left as it is")
    try:
        region = parse_query(text).region
    except UsageError as exc:
        return Result(data={"Result": "false", "Message": str(exc)})
    limit = session.variables[APP_FETCH_SIZE]
    result = client.call("GET", f"{region_path(region)}/query", query={"q": text, "limit": limit})
    if path is None or result.data.get("Result") != "true":
        return result
    with path.open("w", encoding="utf-8") as file:
        Printer(json=session.printer.json, out=file, err=file).show(result)
    return Result(data=result.data, info=[f"The rows are in {path}"])


COMMANDS = (query,)
