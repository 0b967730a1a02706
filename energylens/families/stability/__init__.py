"""What stability claims ask of the SAEs of one network."""
