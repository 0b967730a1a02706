"""Lenses: what a residual says of the next token, and held-out text as a lens reads it."""
