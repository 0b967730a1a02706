"""Comparison of a run with the ledger, with other commits and other machines, and plans for more seeds."""
