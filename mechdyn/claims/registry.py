"""The claims that can be verified, by name."""

from collections.abc import Mapping

from mechdyn.claims.anticipation import Anticipation
from mechdyn.claims.claim import Claim
from mechdyn.claims.correlation import Correlation
from mechdyn.claims.dynamism import Dynamism
from mechdyn.claims.irreplaceability import Irreplaceability
from mechdyn.errors import InputError

CLAIMS: Mapping[str, Claim] = {claim.name: claim for claim in (Dynamism(), Irreplaceability(), Correlation(), Anticipation())}


def get_claim(name: str) -> Claim:
    """A claim by name."""
    if name not in CLAIMS:
        raise InputError(f"unknown claim {name!r}; give one of {', '.join(CLAIMS)}")
    return CLAIMS[name]
