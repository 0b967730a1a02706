"""The science of spectral claims: descriptions of attention heads, and their importance on a network's own task."""
