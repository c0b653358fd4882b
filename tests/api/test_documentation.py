"""The Python of the documents runs as it stands there, against a site whose locator has another port."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import socket
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph
from tests.api.conftest import start_cache

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/python.md")
BLOCK = re.compile(r"^```python\n(?P<block>.*?)^```|^python - <<'PY'\n(?P<script>.*?)^PY$", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for match in BLOCK.finditer((ROOT / document).read_text()):
            yield document, match["block"] or match["script"]


def test_there_are_blocks_in_each_document() -> None:
    assert {document for document, _ in blocks()} == set(DOCUMENTS)


@pytest.mark.parametrize(("document", "block"), [*blocks()])
def test_a_block_runs(document: str, block: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with start_cache(tmp_path / "site", "site") as cache:
        if "create_region" not in block:
            cache.create_region("customer")
        locator = str(cache.locators[0])
        block = re.sub(r"127\.0\.0\.1\[[12]0334\]", locator, block)
        block = block.replace("start_port=5310, end_port=5320", f"start_port={port}, end_port={port + 10}")
        compiled = compile(block, document, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = types.FunctionType(compiled, {"heliograph": heliograph})()
        if inspect.iscoroutine(outcome):
            asyncio.run(outcome)
