"""Core: keys, versions, events, batches, and the attributes of regions, gateway senders and receivers."""
