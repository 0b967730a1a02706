"""How far a report can be trusted: the harness judged by itself, its controls broken, its store under fire."""
