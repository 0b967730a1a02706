"""Null controls that run a claim's own body in a swapped lab."""

from energylens.harness.declare.control import Null

UNTRAINED = Null("untrained", "the network at initialisation", swap={"network": "untrained"})
STEP_0 = Null("step-0", "the SAEs before training", swap={"dictionary": "initial"})
FROZEN = Null("frozen", "SAEs with a frozen random decoder", swap={"dictionary": "frozen"})
ISOTROPIC = Null("isotropic", "independent random directions", swap={"dictionary": "isotropic"})
COVARIANCE = Null(
    "covariance",
    "random directions drawn with the covariance of the activations",
    swap={"dictionary": "covariance"},
)
