"""export and import cluster-configuration (gfsh.md §3.4): a site's definitions as a cache.xml, alone or in a zip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliograph.errors import UsageError
from heliograph.gfsh.consent import agreed
from heliograph.gfsh.grammar import command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, failed

if TYPE_CHECKING:
    from heliograph.model.cluster_configuration import ClusterConfiguration

PATH = "/cluster-configuration"
GROUP = "cluster"
ENTRY = f"{GROUP}/{GROUP}.xml"
"""Where the one configuration stands in a zip file."""


def _check_group(_: click.Context, __: click.Parameter, group: str | None) -> None:
    if group not in (None, GROUP):
        raise UsageError(f"--group={group}: a site has one configuration, that of {GROUP}; leave --group out")


def _files(function: Callable[..., Result]) -> Callable[..., Result]:
    for option, ending in (("xml-file", "xml"), ("zip-file-name", "zip")):
        function = click.option(f"--{option}", help=f"File that it is in, which ends in .{ending}.")(function)
    group = click.option(
        "--group", "--groups", "group", callback=_check_group, expose_value=False, help=f"Only {GROUP} is there."
    )
    return group(function)


@command("export cluster-configuration")
@_files
@click.pass_obj
def export_configuration(session: Session, xml_file: str | None, zip_file_name: str | None) -> Result:
    """Write everything that is defined at the site as a cache.xml: to the screen, or to a file."""
    from heliograph.config.cache_xml_writer import write_cache_xml

    path = _path(xml_file, zip_file_name)
    if path is not None and path.exists() and not agreed(f"{path} exists. Overwrite it?"):
        return failed(f"{path} exists, and was left as it is")
    text = write_cache_xml(_exported(session))
    if path is None:
        return Result(info=[text.rstrip()])
    if path.suffix == ".xml":
        path.write_text(text, encoding="utf-8")
    else:
        from zipfile import ZIP_DEFLATED, ZipFile

        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr(ENTRY, text)
    return Result(info=[f"Cluster configuration exported to {path}"])


@command("import cluster-configuration")
@_files
@click.option("--action", type=click.Choice(["APPLY", "STAGE"], case_sensitive=False), default="APPLY",
              help="APPLY has the site take it up. [default: APPLY]")  # fmt: skip
@click.pass_obj
def import_configuration(session: Session, xml_file: str | None, zip_file_name: str | None, action: str) -> Result:
    """Give the site what a cache.xml defines and it lacks, and alter what differs. What it has besides is left."""
    path = _path(xml_file, zip_file_name)
    if path is None:
        raise UsageError("give either --xml-file or --zip-file-name")
    if action == "STAGE":
        raise UsageError("--action=STAGE is not offered: what is defined holds for running servers too; leave it out")
    want = _read(path)
    if not agreed("This will change the configuration of the site. Continue?"):
        return failed("nothing was changed")
    return session.client.call("POST", PATH, want)


def _exported(session: Session) -> ClusterConfiguration:
    import msgspec

    from heliograph.errors import UnavailableError
    from heliograph.locator.site_configuration import CONFIGURATION
    from heliograph.model.cluster_configuration import ClusterConfiguration

    result = session.client.call("GET", PATH)
    if result.status == "ERROR":
        raise UnavailableError("\n".join(result.info))
    return msgspec.json.decode(result.data[CONFIGURATION], type=ClusterConfiguration)


def _path(xml_file: str | None, zip_file_name: str | None) -> Path | None:
    if xml_file is not None and zip_file_name is not None:
        raise UsageError("give either --xml-file or --zip-file-name")
    for option, name, suffix in (("--xml-file", xml_file, ".xml"), ("--zip-file-name", zip_file_name, ".zip")):
        if name is not None and Path(name).suffix != suffix:
            raise UsageError(f"{option}={name}: the name of the file has to end in {suffix}")
    name = xml_file if xml_file is not None else zip_file_name
    return None if name is None else Path(name)


def _read(path: Path) -> ClusterConfiguration:
    """Read a file. Raises UsageError naming it, and what to change."""
    from os import environ

    from heliograph.config.cache_xml import parse_cache_xml, read_cache_xml

    if path.suffix == ".xml":
        read = read_cache_xml(path, environ)
    else:
        document = _unzipped(path)
        try:
            read = parse_cache_xml(document, environ)
        except UsageError as exc:
            raise UsageError(f"{path}, {ENTRY}: {exc}") from exc
    if read.server:
        raise UsageError(f"{path}: <cache-server> is of one server: leave it out, or give the file to start server")
    return read.configuration


@command("status cluster-config-service")
@click.pass_obj
def configuration_service(session: Session) -> Result:
    """Show which locators serve the cluster configuration; it fails when none does."""
    return session.client.call("GET", f"{PATH}/service")


def _unzipped(path: Path) -> bytes:
    """Return the document in a zip file, one byte more than may be read at most. Raises UsageError."""
    from lzma import LZMAError
    from struct import error as StructError  # noqa: N812  (a class by any name)
    from zipfile import BadZipFile, ZipFile
    from zlib import error as ZlibError  # noqa: N812

    from heliograph.config.xml_reader import FILE_BYTES_MAX

    try:
        with ZipFile(path) as archive, archive.open(ENTRY) as entry:
            return entry.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror or exc}") from exc
    except KeyError as exc:
        raise UsageError(f"{path} holds no {ENTRY}") from exc
    # What damaged bytes make zipfile and its decompressors raise, which is not always theirs.
    except (
        BadZipFile,
        RuntimeError,
        EOFError,
        ValueError,
        StructError,
        ZlibError,
        LZMAError,
    ) as exc:
        raise UsageError(f"{path} is no zip file that can be read: {exc}") from exc


COMMANDS = (export_configuration, import_configuration, configuration_service)
