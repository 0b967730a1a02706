"""HTML that a notebook shows."""
