"""One package for each family of claims: its science, its part of the lab, its estimators as published."""
