"""Runners, which carry interventions out: native bridges in plain torch, any other bridge through its own hooks."""
