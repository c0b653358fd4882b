"""Seam: Log, Blobs and Registry, the distributed engine under a site."""
