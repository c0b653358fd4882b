from __future__ import annotations

import pytest

from heliograph.engine.seam import bucket_subject
from heliograph.member.sweeper import _region_of


def test_the_region_of_a_buckets_subject() -> None:
    assert _region_of(bucket_subject("DEFAULT", "customer", 7, 15)) == ("customer", 7)


@pytest.mark.parametrize(
    "subject",
    [
        "events",
        "log.DEFAULT",
        "log.DEFAULT.r",
        "log.DEFAULT.r.1",
        "log.DEFAULT.r.1.x",
        "log.DEFAULT.r.1.2.3",
        "a.b.r.1.2",
    ],
)
def test_what_somebody_else_has_put_there_is_no_regions(subject: str) -> None:
    assert _region_of(subject) is None
