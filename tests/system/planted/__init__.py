"""Daemons with a bug each, for `test_planted_bugs`; a module is started in the place of `heliograph.gfsh.daemon`."""
