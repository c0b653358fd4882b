"""The commands, by subject. Each module lists its own in `COMMANDS` and is cheap to import (see `gfsh.tree`)."""
