"""Shell: what every process of a site has, be it locator or member: a log, and the settings it was started with."""
