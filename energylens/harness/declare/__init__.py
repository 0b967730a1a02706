"""Declarations of claims: regions, controls, statistics, and the cases that a claim asks for."""
