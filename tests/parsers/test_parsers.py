"""Any bytes give every parser a value or its one error, in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parsers.inputs import BOMBS, damaged
from tests.parsers.table import PARSERS, Parser

CRASHERS = Path(__file__).parent / "crashers"
SECONDS_MAX = 5.0
"""Of one input of at most a few hundred KB, on a slow machine."""
BYTES_PER_BYTE = 200
BYTES_MIN = 8 * 1024 * 1024
"""Twice what files are read into."""
SETTINGS = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
every_parser = pytest.mark.parametrize("name", PARSERS)


def tried(parser: Parser, data: bytes) -> object:
    """Return what a parser makes of data, None for one of its errors; anything else it raises fails the test."""
    try:
        return parser.parse(data)
    except parser.errors:
        return None


@every_parser
def test_examples_are_values(name: str) -> None:
    parser = PARSERS[name]
    for example in parser.examples:
        value = parser.parse(example)
        if parser.encode is not None:
            assert parser.encode(value) == example


@every_parser
def test_bombs(name: str) -> None:
    parser = PARSERS[name]
    for bomb in BOMBS:
        for data in (bomb, parser.examples[0] + bomb, parser.examples[0][:-1] + bomb):
            began = time.process_time()
            tracemalloc.start()
            try:
                tried(parser, data)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert peak < BYTES_MIN + BYTES_PER_BYTE * len(data)
            assert time.process_time() - began < SECONDS_MAX


@every_parser
def test_any_bytes(name: str) -> None:
    parser = PARSERS[name]

    @SETTINGS
    @given(st.binary(max_size=200))
    def run(data: bytes) -> None:
        tried(parser, data)

    run()


@every_parser
def test_damaged_examples(name: str) -> None:
    parser = PARSERS[name]

    @SETTINGS
    @given(damaged(parser.examples))
    def run(data: bytes) -> None:
        value = tried(parser, data)
        if value is not None and parser.encode is not None:
            again = parser.encode(value)
            assert parser.encode(parser.parse(again)) == again

    run()


@pytest.mark.parametrize("crasher", sorted(CRASHERS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_inputs_that_were_found(crasher: Path) -> None:
    """What the fuzzer once found, and what must not come back."""
    began = time.process_time()
    tried(PARSERS[crasher.parent.name], crasher.read_bytes())
    assert time.process_time() - began < SECONDS_MAX
