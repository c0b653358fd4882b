"""export data, import data: the entries of a region in files of servers (gfsh.md §4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliograph.errors import UnavailableError
from heliograph.gfsh.commands.regions import region_path
from heliograph.gfsh.following import follow
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result

if TYPE_CHECKING:
    from heliograph.locator.requests import ExportRequest

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
    from heliograph.locator.site_exports import EXPORTED

    request = ExportRequest(member=member, file=file, dir=directory, parallel=parallel)
    return _follow(session, "exporting", EXPORTED, f"{region_path(region)}/exports", request)


@command("import data")
@_region
@_member
@_file
@_dir
@_parallel
@click.option(
    "--invoke-callbacks", type=BOOLEAN, default=False,
    help="Tell other sites, async event queues and listeners of it, as of any put. [default: false]",
)  # fmt: skip
@click.pass_obj
def import_data(
    session: Session, region: str, member: str, file: str, directory: str, parallel: bool, invoke_callbacks: bool
) -> Result:
    """Put what export data has written into a region. An interrupt cancels it."""
    from heliograph.locator.requests import ImportRequest
    from heliograph.locator.site_imports import IMPORTED

    request = ImportRequest(
        member=member, file=file, dir=directory, parallel=parallel, invoke_callbacks=invoke_callbacks
    )
    return _follow(session, "importing", IMPORTED, f"{region_path(region)}/imports", request)


def _follow(session: Session, doing: str, done: str, path: str, request: ExportRequest) -> Result:
    from heliograph.locator.runs import MEMBERS, RUN

    client = session.client

    def cancel(started: Result) -> Result:
        if RUN not in started.data:
            raise UnavailableError("interrupted before any server said that it had begun: it may go on")
        return client.call("DELETE", f"{path}/{started.data[RUN]}", query={"member": started.data[MEMBERS]})

    return follow(session, doing, done, path, begin=lambda: client.call("POST", path, request), cancel=cancel)


COMMANDS = (export_data, import_data)
