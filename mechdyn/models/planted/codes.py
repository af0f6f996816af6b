"""One ±1 vector a token, so far from each other that the margins of the controls can be proved rather than measured.

The vectors are the words of the extended double-error-correcting BCH code of length 32: bit x of a word is Tr(a x³ + b x) + c over
the field of 32 elements, a, b and c being the bits of the token's id. Two words differ in 12, 16, 20 or all 32 bits (MacWilliams and
Sloane, The Theory of Error-Correcting Codes, ch. 15), so the cosine of two vectors is 1/4, 0, -1/4 or -1: never above 1/4.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

CODE_DIM = 32
N_CODES = 2048
MAX_COSINE = 0.25
"""The largest cosine of two tokens' vectors."""
_FIELD_BITS = 5
_MODULUS = 0b100101
"""x⁵ + x² + 1, which defines the field of 32 elements."""


def token_codes(n_tokens: int) -> Float[Tensor, "token code"]:
    """The vectors of tokens 0 to `n_tokens` - 1, entries ±1; `n_tokens` is at most `N_CODES`."""
    generator = _generator()
    ids = torch.arange(n_tokens)
    bits = ids[:, None] >> torch.arange(len(generator)) & 1
    return 1.0 - 2.0 * (bits @ generator % 2).float()


def _generator() -> Int[Tensor, "bit code"]:
    """The code's generator matrix: rows Tr(2ⁱ x³), Tr(2ⁱ x) for i = 0 … 4, and ones."""
    points = range(CODE_DIM)
    cubes = [_multiply(point, _multiply(point, point)) for point in points]
    rows = [[_trace(_multiply(1 << i, value)) for value in values] for values in (cubes, points) for i in range(_FIELD_BITS)]
    return torch.tensor([*rows, [1] * CODE_DIM])


def _multiply(left: int, right: int) -> int:
    product = 0
    for bit in reversed(range(_FIELD_BITS)):
        product = product << 1 ^ (left if right >> bit & 1 else 0)
        if product >> _FIELD_BITS:
            product ^= _MODULUS
    return product


def _trace(value: int) -> int:
    """The trace v + v² + v⁴ + v⁸ + v¹⁶, which is 0 or 1."""
    total, power = 0, value
    for _ in range(_FIELD_BITS):
        total, power = total ^ power, _multiply(power, power)
    return total
