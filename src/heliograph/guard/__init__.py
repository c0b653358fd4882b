"""Seam: who is at the other end, asked of a security manager, and who we are, asked of a credential provider."""
