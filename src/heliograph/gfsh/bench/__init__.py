"""`helio bench`: what two sites move, measured with real processes on loopback."""
