"""Broken instruments, and the controls that have to notice them."""
