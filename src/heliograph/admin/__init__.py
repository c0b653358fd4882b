"""Face: the locator's HTTP admin API."""
