"""Who builds what the store lacks: one file for each executor, found by its name."""
