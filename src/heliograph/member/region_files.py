"""Files of exported regions on this machine, written and read in threads.

A file is written under another name, synced, and only then given its own: what has that name is whole. Everything that
goes wrong is a UsageError that names the file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from heliograph.errors import UsageError
from heliograph.model.keys import Key
from heliograph.model.region_file import FileEncoder, FileEntries, FileHead, FileParser

WRITING = ".writing"
"""What the name of a file ends with until it is whole."""
READ_BYTES = 1024 * 1024
FILES_MAX = 1_000
"""Files of one region in a directory."""

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Call a function in a thread. Cancelled, it waits until the call returns, which nothing can stop."""
    calling = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait([calling])
        if not calling.cancelled():
            calling.exception()  # which nobody asks for any more
        raise


@contextmanager
def _named(path: Path, doing: str) -> Iterator[None]:
    """Raise what a file can't be written or read for as UsageError."""
    try:
        yield
    except UsageError as exc:
        raise UsageError(f"{path}: {exc}") from exc
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} can't be {doing}: {getattr(exc, 'strerror', None) or exc}") from exc


class FileWriter:
    """A file that is being written; its methods block. run: names the export, and so the unfinished file."""

    def __init__(self, path: Path, run: str) -> None:
        self._path = path
        self._unfinished = path.with_name(f"{path.name}.{run}{WRITING}")
        self._encoder = FileEncoder()
        self._file: BinaryIO | None = None

    def open(self, head: FileHead) -> None:
        """Begin, in a directory that is made if it is missing. Raises UsageError when there is such a file."""
        with _named(self._path, "written"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._check_free()
            self._file = self._unfinished.open("xb")
            self._file.write(self._encoder.begin(head))

    def write(self, keys: list[Key], values: list[bytes]) -> None:
        """Write some entries."""
        with _named(self._path, "written"):
            self._opened.write(self._encoder.entries(keys, values))

    def finish(self) -> None:
        """Give the file its name: everything in it is on the disk."""
        with _named(self._path, "written"):
            file = self._opened
            file.write(self._encoder.end())
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._check_free()
            self._unfinished.rename(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def discard(self) -> None:
        """Leave nothing behind of a file that is not finished; of one that is, everything."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._unfinished.unlink(missing_ok=True)

    @property
    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("it is not open")
        return self._file

    def _check_free(self) -> None:
        if self._path.exists():
            raise UsageError("there is such a file already: choose another name, or remove it")


class FileReader:
    """A file that is being read; its methods block. Raises UsageError naming the offset of what is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parser = FileParser()
        self._file: BinaryIO | None = None

    @property
    def head(self) -> FileHead | None:
        """What the file is of; None until that was read."""
        return self._parser.head

    def next(self) -> list[FileEntries] | None:
        """Return some entries, or none yet; None at the end of the file, which is whole then."""
        with _named(self.path, "read"):
            if self._file is None:
                self._file = _opened(self.path)
            data = self._file.read(READ_BYTES)
            if data:
                return self._parser.receive(data)
            self._parser.end()
            return None

    def close(self) -> None:
        """Read no more."""
        if self._file is not None:
            self._file.close()


def _opened(path: Path) -> BinaryIO:
    """Open a file; a pipe or a device may never end, nor the thread that reads it."""
    if path.exists() and not path.is_file():
        raise UsageError("it is no file")
    return path.open("rb")


def heads_in(directory: Path, region: str, suffix: str) -> list[tuple[Path, FileHead]]:
    """Return the files of a region that was exported in parallel, by name; none of a directory that is not there.

    Raises UsageError when there are too many, or one whose head is damaged.
    """
    with _named(directory, "read"):
        paths = sorted(directory.glob(f"{region}-*{suffix}"))
    if len(paths) > FILES_MAX:
        raise UsageError(f"{directory} has {len(paths)} files of region {region}: at most {FILES_MAX} are read")
    heads = [(path, _head_of(path)) for path in paths]
    return [(path, head) for path, head in heads if head.region == region]  # and not one whose name goes on


def _head_of(path: Path) -> FileHead:
    reader = FileReader(path)
    try:
        while reader.head is None and reader.next() is not None:
            pass
    finally:
        reader.close()
    if reader.head is None:
        raise UsageError(f"{path} has no head")
    return reader.head
