"""Core: which member holds which bucket, and which one runs a serial gateway sender."""
