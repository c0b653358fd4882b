"""The engine in memory, on virtual time, with faults on demand."""
