"""When what a notebook shows is what it showed before."""

import re

DECIMAL, CLOSE = re.compile(r"-?\d+\.\d+"), 0.02


def alike(fresh: str, saved: str) -> bool:
    """Whether two outputs say the same: words and whole numbers to the letter, decimals to within `CLOSE`.

    What a probe learns hangs on the last bits of the hidden states, which differ from processor to processor.
    """
    if DECIMAL.sub("#", fresh) != DECIMAL.sub("#", saved):
        return False
    pairs = zip(DECIMAL.findall(fresh), DECIMAL.findall(saved), strict=True)
    return all(abs(float(one) - float(other)) <= CLOSE for one, other in pairs)
