"""A run of claims, whatever drives it: pytest, the command line, a notebook, the trust suites.

`Session` knows what is declared, on which models and seeds; `Measurer` measures and judges; `needs` tells which recipes
that takes; `Witness` notes what it rests on; `finish` writes what was found. Nothing here knows pytest.
"""
