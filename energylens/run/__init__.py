"""A run of claims, driven by pytest, the command line, a notebook or the trust suites.

`Session` knows the declared claims, their models and seeds; `Measurer` measures and judges; `needs` tells the recipes
that cases need; `Witness` notes the artifacts and code behind measurements; `finish` writes the results. Nothing here
knows pytest.
"""
