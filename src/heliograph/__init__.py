"""Data consistent across sites: regions, gateway senders and receivers, in the manner of GemFire."""

__version__ = "0.1.0"
