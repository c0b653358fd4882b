"""Tombstones are dropped after a second, also while an older event may still be on its way."""

from __future__ import annotations

from heliograph.gfsh.daemon import main
from heliograph.member import collector
from tests.system.planted import wrong_clocks

collector.TOMBSTONES_KEPT_S = 1.0
collector.LOOK_S = 0.2
setattr(collector, "stable_of", lambda _: collector.EVER)  # noqa: B010  (for the type checker)

CLOCKS = wrong_clocks.Setting
"""Which that module has set."""

if __name__ == "__main__":
    main()
