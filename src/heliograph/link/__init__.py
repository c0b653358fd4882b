"""Core: the one link protocol, frames, hello and sessions, without any I/O."""
