"""What claims on energies ask: held-out text, lenses and dictionaries at a site, how latents align with energy."""
