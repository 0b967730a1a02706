"""Runs against what was known before: the ledger, other commits, other machines, and more seeds."""
