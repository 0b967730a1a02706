"""The science of stability claims, on the SAEs of one network."""
