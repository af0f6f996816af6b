"""Names of claims that are read from their files are those of the registry."""

from mechdyn.claims.claim import CLAIMS
from mechdyn.claims.names import RETMASK, claim_names, claims_beginning, verified_beginning


def test_the_names_in_the_files_are_those_that_are_registered() -> None:
    own = {name for name in CLAIMS.names() if CLAIMS.get(name).__module__.startswith("mechdyn.")}
    assert set(claim_names()) == own and len(claim_names()) == len(own)


def test_a_name_is_completed_from_its_beginning() -> None:
    assert claims_beginning("") == list(claim_names()) == sorted(claim_names())
    assert claims_beginning("wu2024.") == [name for name in claim_names() if name.startswith("wu2024.")] != []
    assert claims_beginning("ret") == [] and verified_beginning("ret") == [RETMASK]
    assert verified_beginning("no such") == []
