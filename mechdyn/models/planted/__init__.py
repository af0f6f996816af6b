"""Planted controls: two small Llama models whose retrieval heads are known, because code wrote their weights.

Both answer the needle-in-a-haystack task by induction: "what came after these three tokens before?" One layer gathers the three
preceding tokens of every position, the next finds the place where the last three tokens stood before and copies what followed. They
differ only in which heads of layer 1 do the copying:

- `static`: the same six heads copy every token, so the set of retrieval heads never changes.
- `dynamic`: four heads of sixteen copy a token, and which four depends on the token alone (`planted_heads`). The set changes from
  token to token and is the same in every haystack. Any one of the four suffices, and the four most frequent heads never include all
  heads of a token.

They are controls with a known answer: the claim that retrieval heads are dynamic must be refuted for the one and supported for the
other, or the measurement is broken. Such heads are planted, so they prove nothing about trained models.

Known limits. A UUID is answered wrongly where three tokens of it recur in the same order (about 1 in 1500) or where its first eight
digits are all letters (1 in 2500: the space before it is then no token of its own). Only tokenizers like the bundled one will do: at
most 2048 tokens, the full stop and the hyphen one token each. Other tasks get no sensible answer. Right for up to `MAX_POSITIONS`
tokens. Layer 0 bears the loss of any four of its heads at a step, not always of five.
"""

from mechdyn.models.planted.design import PlantedKind, planted_heads
from mechdyn.models.planted.model import MAX_POSITIONS, build_planted, planted_tokenizer

__all__ = ["MAX_POSITIONS", "PlantedKind", "build_planted", "planted_heads", "planted_tokenizer"]
