"""Lenses, which read the next token from a residual, and held-out text as read by a lens."""
