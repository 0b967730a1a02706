"""Tests of how far a report can be trusted: error rates of the judge, broken instruments, faults of the store."""
