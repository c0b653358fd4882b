"""Exports of regions to files, and imports from them, at one member (`export data`, `import data`).

    a bucket, as of one moment ──chunks──> FileWriter, in a thread ──> the next bucket
    FileReader, in a thread: the whole file is checked ──> read again, some entries at a time ──> put

Buckets are read one after the other, each with all that was acknowledged before its turn came: in the copy here once
that shows the end of the log, else in the engine. So a file has every entry that was there all the time, with a value
that it had meanwhile; of what was put or removed meanwhile it depends on the bucket's turn.

What is imported is put anew, with versions of now. Without callbacks it is put silently: see `model.batch.Part`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TypeAlias

from heliograph.engine.patience import patiently
from heliograph.errors import HeliographError, RegionNotFoundError
from heliograph.link.messages import (
    CopyState,
    Export,
    ExportedFile,
    Files,
    FilesQuery,
    Import,
    Outcome,
    TransferCancel,
    TransferQuery,
)
from heliograph.member.bucket_reader import BucketReader
from heliograph.member.operations import Operations
from heliograph.member.region import HostedRegion
from heliograph.member.region_files import FileReader, FileWriter, heads_in, in_thread
from heliograph.member.runs import Run, Runs
from heliograph.model.keys import NO_VALUE, Key
from heliograph.model.region_file import SUFFIX, FileEntries, FileHead, chunks

AT_ONCE = 4
PATIENCE_S = 20.0
"""How long the engine, or a bucket's primary, may be away before an export or import fails."""
RETRY_S = 0.5

Put: TypeAlias = Callable[[str, list[Key], list[bytes]], Awaitable[None]]
"""Puts entries into a region."""

_log = logging.getLogger(__name__)


class _Transfer(Run):
    """One export or import."""

    def __init__(self, name: str, region: HostedRegion, paths: list[Path], verb: str) -> None:
        super().__init__(name, f"{name}: {', '.join(map(str, paths))}", verb)
        self.region = region
        self.paths = paths


class Transfers:
    """See the module. directory: from where relative paths go."""

    def __init__(
        self,
        member: str,
        directory: str,
        regions: Mapping[str, HostedRegion],
        operations: Operations,
        now_ms: Callable[[], int],
    ) -> None:
        self._operations = operations
        self._directory = Path(directory).absolute()
        self._regions = regions
        self._now_ms = now_ms
        self._runs: Runs[_Transfer] = Runs(member)
        self._slots = asyncio.Semaphore(AT_ONCE)

    # --- commands

    def export(self, request: Export) -> CopyState:
        """Begin to write a file, or say why not; a run that is known already is only told of."""
        name = _name(request)
        region = self._region(request)
        if isinstance(region, CopyState):
            return region
        path = self._directory / request.path
        if any(path in other.paths for other in self._runs):
            return self._runs.refuse(name, CopyState("failed", f"{path} is being written or read by another command"))
        transfer = _Transfer(name, region, [path], "exported")
        head = FileHead(region.name, request.run, request.part, request.parts, self._now_ms())
        return self._runs.begin(transfer, partial(self._export, transfer, request.buckets, head))

    def import_(self, request: Import) -> CopyState:
        """Begin to put what stands in files, or say why not; a run that is known already is only told of."""
        region = self._region(request)
        if isinstance(region, CopyState):
            return region
        transfer = _Transfer(_name(request), region, [self._directory / path for path in request.paths], "imported")
        put = self._operations.put_all if request.callbacks else self._operations.put_silently
        return self._runs.begin(transfer, partial(self._import, transfer, put))

    def _region(self, request: Export | Import) -> HostedRegion | CopyState:
        """Return the region of a run that is to begin, or how the run is: it is known already, or can't begin."""
        name = _name(request)
        known = self._runs.known(name)
        if known is not None:
            return known
        region = self._regions.get(request.region)
        return region or self._runs.refuse(name, CopyState("failed", f"Region {request.region} not found"))

    async def files(self, query: FilesQuery) -> Files:
        """Say which files of a parallel export there are. Raises UsageError when the head of one is damaged."""
        directory = self._directory / query.directory
        found = await in_thread(partial(heads_in, directory, query.region, SUFFIX))
        return Files([ExportedFile(str(path), head.run, head.part, head.parts) for path, head in found])

    def look(self, query: TransferQuery) -> CopyState:
        """Say how a run is. Raises UsageError when it is not known here: this member was started since."""
        return self._runs.look(_name(query))

    def cancel(self, request: TransferCancel) -> Outcome:
        """Cancel a run."""
        for transfer in self._runs:
            if transfer.name == _name(request):
                transfer.cancel()
                return Outcome(True, "Execution cancelled")
        return Outcome(False, "No running command to be cancelled")

    async def close(self) -> None:
        """Cut everything short."""
        await self._runs.close()

    # --- exporting

    async def _export(self, transfer: _Transfer, buckets: list[int], head: FileHead) -> None:
        writer = FileWriter(transfer.paths[0], head.run)
        async with self._slots:
            try:
                await in_thread(partial(writer.open, head))
                await self._write(transfer, buckets, writer)
                await in_thread(writer.finish)
            finally:
                await in_thread(writer.discard)
        transfer.end("done", f"{transfer.progress} to {transfer.paths[0]}")

    async def _write(self, transfer: _Transfer, buckets: list[int], writer: FileWriter) -> None:
        region = transfer.region
        reader = BucketReader(region)
        here = {bucket: len(copy.view.values) for bucket, copy in region.copies.items() if copy.readable}
        transfer.total = sum(here.get(bucket, 0) for bucket in buckets)
        for bucket in buckets:
            self._check(transfer)
            view = await patiently(partial(reader.whole, bucket), PATIENCE_S)
            keys, values = list(view.values), list(view.values.values())
            if NO_VALUE in values:
                keys = [key for key, value in zip(keys, values, strict=True) if value != NO_VALUE]
                values = [value for value in values if value != NO_VALUE]
            transfer.total += len(keys) - here.get(bucket, 0)
            for some_keys, some_values in chunks(keys, values):
                await in_thread(partial(writer.write, some_keys, some_values))
                transfer.done += len(some_keys)
                await asyncio.sleep(0)

    # --- importing

    async def _import(self, transfer: _Transfer, put: Put) -> None:
        async with self._slots:
            remarks = [await self._inspect(transfer, path) for path in transfer.paths]
            for path in transfer.paths:
                async with aclosing(_read(FileReader(path))) as entries:
                    async for some in entries:
                        await self._put(transfer, some, put)
        transfer.end("done", f"{transfer.progress} from {', '.join(remarks)}")

    async def _inspect(self, transfer: _Transfer, path: Path) -> str:
        """Read a file to its end before anything of it is put, and return what is told of it.

        Raises UsageError when it is damaged anywhere.
        """
        reader = FileReader(path)
        async with aclosing(_read(reader)) as entries:
            async for some in entries:
                self._check(transfer)
                transfer.total += len(some.keys)
        head = reader.head
        if head is None or head.region == transfer.region.name:
            return str(path)
        return f"{path} (of region {head.region})"

    async def _put(self, transfer: _Transfer, entries: FileEntries, put: Put) -> None:
        """Put entries, again while the engine or a primary is away, or a disk store full, for `PATIENCE_S` at most."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while True:
            self._check(transfer)
            try:
                await put(transfer.region.name, entries.keys, entries.values)
            except HeliographError as exc:
                if not exc.retriable or loop.time() > deadline:
                    raise
                _log.info("put again what=%r error=%s", transfer.title, exc)
            else:
                transfer.done += len(entries.keys)
                return
            await asyncio.sleep(RETRY_S)

    def _check(self, transfer: _Transfer) -> None:
        if self._regions.get(transfer.region.name) is not transfer.region:
            raise RegionNotFoundError("Region destroyed")


async def _read(reader: FileReader) -> AsyncGenerator[FileEntries, None]:
    """Yield what stands in a file. Raises UsageError when it is damaged."""
    try:
        while (found := await in_thread(reader.next)) is not None:
            for entries in found:
                yield entries
    finally:
        reader.close()


def _name(message: Export | Import | TransferQuery | TransferCancel) -> str:
    """Return what a run is known by: whoever may not read the region learns nothing of it by the run alone."""
    return f"{message.region}/{message.run}"
