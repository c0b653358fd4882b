"""How many bytes of records the queues of a gateway sender may hold at a member."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Memory:
    """What all queues of one gateway sender at this member may hold together."""

    limit_bytes: int
    used_bytes: int = 0

    @classmethod
    def of_mb(cls, maximum_queue_memory: int) -> Memory:
        """Return what `maximum-queue-memory` gives to the windows.

        An eighth is for copies under way and for what the heap wastes: measured as resident memory
        (benchmarks/backlog.py), all of it stays within the maximum then.
        """
        return cls(maximum_queue_memory * 1024 * 1024 * 7 // 8)

    def fits(self, size: int) -> bool:
        """Say whether a record of `size` bytes may be held; one always may, or a large one could never be sent."""
        return self.used_bytes + size <= self.limit_bytes or not self.used_bytes

    @property
    def roomy(self) -> bool:
        """Say whether it is worth reading from the log again."""
        return self.used_bytes * 2 <= self.limit_bytes

    @property
    def full(self) -> bool:
        """Say whether nothing more fits."""
        return self.used_bytes >= self.limit_bytes
