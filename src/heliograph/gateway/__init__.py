"""Core: gateway sender queues, lanes and retries, the receiver's verdicts, the directory of sites."""
