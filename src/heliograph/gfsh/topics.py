"""What `hint` tells: GemFire's topics, and the commands of each (gfsh.md §2)."""

from __future__ import annotations

TOPICS: dict[str, tuple[str, ...]] = {
    "Cluster Configuration": ("cluster-configuration", "cluster-config-service", "plan", "apply", "lint"),
    "Configuration": ("disk-store", "runtime", "config", "loglevel"),
    "Data": ("put", "get", "remove", "rebalance", "query", "locate entry", "data"),
    "Debug-Utility": ("debug", "bench", "demo", "metrics", "logs"),
    "Disk Store": ("disk-store", "disk-stores"),
    "GFSH": ("connect", "disconnect", "connection", "echo", "variable", "history", "sleep", "sh", "run", "debug",
             "version", "exit", "quit"),
    "Help": ("help", "hint"),
    "Lifecycle": ("start locator", "start server", "stop locator", "stop server", "status locator", "status server",
                  "shutdown"),
    "Locator": ("locator",),
    "Logs": ("logs", "log", "loglevel"),
    "Management-Monitoring": ("members", "member", "metrics", "gateways", "shutdown"),
    "Region": ("region", "regions", "rebalance", "redundancy"),
    "Security": ("hash password", "connect"),
    "Server": ("server",),
    "Statistics": ("status gateway-sender", "status gateway-receiver", "metrics"),
    "WAN": ("gateway-sender", "gateway-receiver", "gateways", "async-event-queue", "async-event-queues",
            "async-event-queue-dispatcher", "parked-events", "wan-copy", "conflicts", "gateway-conflict-resolver",
            "plan", "apply", "lint"),
}  # fmt: skip
"""Topic -> the words, one after the other, by which its commands are told."""


def is_of(topic: str, path: str) -> bool:
    """Say whether a command belongs to a topic."""
    return any(f" {words} " in f" {path} " for words in TOPICS[topic])
