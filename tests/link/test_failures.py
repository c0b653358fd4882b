from __future__ import annotations

import pytest

from heliograph.errors import FencedError, HeliographError, InvariantViolation, RegionNotFoundError, UnavailableError
from heliograph.link.failures import REASON_MAX, decode_failure, error_of, failure_of
from heliograph.link.messages import Failure, encode


@pytest.mark.parametrize("kind", [FencedError, RegionNotFoundError, UnavailableError, HeliographError])
def test_an_error_keeps_its_class_and_message(kind: type[HeliographError]) -> None:
    error = error_of(failure_of(kind("why")))
    assert type(error) is kind
    assert str(error) == "why"


def test_an_unknown_name_is_a_plain_error() -> None:
    assert type(error_of(Failure("NoSuchError", "why"))) is HeliographError
    assert type(error_of(Failure("Exception", "why"))) is HeliographError


def test_a_bug_of_the_other_process_is_no_bug_of_this_one() -> None:
    assert type(error_of(failure_of(InvariantViolation("why")))) is HeliographError
    assert str(error_of(failure_of(KeyError("k")))) == "internal error: KeyError: 'k'"


def test_a_reason_without_end_is_cut() -> None:
    failure = decode_failure(encode(Failure("PeerError", "x" * 1_000_000)))
    assert failure == Failure("PeerError", "x" * REASON_MAX + "...")
