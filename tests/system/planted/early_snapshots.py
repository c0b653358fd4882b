"""No bug: buckets are snapshotted, and their logs cut, after some ten writes instead of megabytes."""

from __future__ import annotations

from heliograph.gfsh.daemon import main
from heliograph.member import snapshotter

snapshotter.SNAPSHOT_BYTES_MIN = 1_000
snapshotter.LOOK_S = 0.2
snapshotter.CUT_S = 1.0

if __name__ == "__main__":
    main()
