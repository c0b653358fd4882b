"""The engine takes an append whatever the bucket's last sequence is."""

from __future__ import annotations

from heliograph.engine.nats import append
from heliograph.gfsh.daemon import main

append.EXPECTED = b"Heliograph-Ignored"

if __name__ == "__main__":
    main()
