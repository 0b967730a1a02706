"""The code that measures a claim: what a body reaches, its hash, its files, and its edits in a git history."""
