"""Shell: the locator, a site's discovery, cluster configuration and private engine."""
