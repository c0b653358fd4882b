"""Core: what a bucket's primary and its other copies decide."""
