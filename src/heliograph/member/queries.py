"""What a member tells of the entries in its own copies, whoever asks."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.link.messages import Locate, Located
from heliograph.member.region import HostedRegion
from heliograph.model.keys import check_keys


class Queries:
    """Answers of one member. region: returns a region, or raises as `Operations.region`."""

    def __init__(self, region: Callable[[str], HostedRegion]) -> None:
        self._region = region

    def locate(self, request: Locate) -> Located:
        """Say whether an entry is in this member's copy. Raises UsageError when the key finds no bucket."""
        check_keys([request.key])
        hosted = self._region(request.region)
        bucket = hosted.routing.bucket_of(request.key)
        copy = hosted.copies.get(bucket)
        if copy is None or not copy.readable:
            return Located(bucket, False)
        return Located(bucket, request.key in copy.view.values, copy.epoch if copy.accepting else 0)
