"""Core: permissions, what every request and command needs, and the users of a file."""
