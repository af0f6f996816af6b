"""Claims for one test."""

from mechdyn.claims.claim import CLAIMS
from mechdyn.registry import Registry


def copied_claims():
    """A registry of the claims there are, to which a test may add."""
    fresh = Registry("claim", "mechdyn.claims")
    for name in CLAIMS.names():
        fresh.register(name, CLAIMS.get(name))
    return fresh
