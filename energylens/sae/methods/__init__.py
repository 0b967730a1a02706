"""Methods of sparse autoencoders, one file each, found by name (`table`). No torch is imported here."""
