"""Face: what Python programs import."""
