"""The science of claims on energies: held-out text, lenses and dictionaries at a site, alignment with energy."""
