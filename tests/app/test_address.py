"""The page's address: what was asked and looked at, read back as it was."""

from urllib.parse import urlencode

from mechdyn.app.address import from_address, to_address

STATE = {
    "needle": "A bee & a <b>wasp</b> = 2.",
    "question": "What, in the ‘garden’?",
    "haystack": "",
    "length": 512,
    "depth": 0.25,
    "seed": 0,
    "new_tokens": 48,
    "score": "reasoning:sink=2",
    "model": "mini",
    "off": ["L0H1", "L3H12"],
    "step": 0,
    "view": "without",
    "head": None,
}


def test_a_state_comes_back_and_what_is_empty_is_left_out() -> None:
    assert from_address(to_address(STATE)) == {name: value for name, value in STATE.items() if value not in ("", None)}


def test_a_text_too_long_for_an_address_stays_out_of_it() -> None:
    assert "haystack" not in from_address(to_address({**STATE, "haystack": "a bee. " * 1000}))
    assert from_address(to_address({**STATE, "haystack": "A bee."}))["haystack"] == "A bee."


def test_what_is_unknown_or_no_number_is_left_out() -> None:
    assert from_address("?" + urlencode({"length": "long", "depth": "0.5", "evil": "x", "step": "1.5"})) == {"depth": 0.5}
    assert from_address("") == from_address(None) == {}
