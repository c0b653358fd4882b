"""Seam: clock, randomness, sockets; real and simulated."""
