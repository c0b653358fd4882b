"""export data: a region's entries written to files of servers (gfsh.md §4.7)."""

from __future__ import annotations

import click

from heliograph.gfsh.commands.regions import region_path
from heliograph.gfsh.following import follow
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result

_region = click.option("--region", required=True, help="The region.")
_member = click.option("--member", required=True, help="The server on whose machine the file is.")
_file = click.option("--file", default="", help="The file, a path of that machine; its name ends with .gfd.")
_dir = click.option("--dir", "directory", default="", help="Instead, a directory of that machine: for <region>.gfd.")
_parallel = click.option(
    "--parallel", type=BOOLEAN, default=False,
    help="With --dir: every server has a file of its own there, on its machine. [default: false]",
)  # fmt: skip


@command("export data")
@_region
@_member
@_file
@_dir
@_parallel
@click.pass_obj
def export_data(session: Session, region: str, member: str, file: str, directory: str, parallel: bool) -> Result:
    """Write the entries of a region to a file on a server's machine. An interrupt cancels it."""
    from heliograph.locator.requests import ExportRequest
    from heliograph.locator.runs import MEMBERS, RUN
    from heliograph.locator.site_exports import EXPORTED

    client = session.client
    path = f"{region_path(region)}/exports"
    request = ExportRequest(member=member, file=file, dir=directory, parallel=parallel)
    return follow(
        session,
        "exporting",
        EXPORTED,
        path,
        begin=lambda: client.call("POST", path, request),
        cancel=lambda run: client.call("DELETE", f"{path}/{run.data[RUN]}", query={"member": run.data[MEMBERS]}),
    )


COMMANDS = (export_data,)
