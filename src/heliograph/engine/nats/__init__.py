"""The engine on NATS JetStream."""
