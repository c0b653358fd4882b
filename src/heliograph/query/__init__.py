"""Core: the query language, and what a query selects of a region's entries."""
