"""Planted controls: small Llama models whose retrieval heads are known, because code wrote their weights.

All answer the needle-in-a-haystack task by induction: "what came after these three tokens before?" The first layer gathers the three
preceding tokens of every position, the last finds the place where the last three tokens stood before and copies what followed. They differ
only in which heads of the last layer do the copying (`planted_heads`):

- `static`: the same six heads copy every token, so the set of retrieval heads never changes.
- `nested`: the heads stand in a fixed order, and the token alone decides whether the first one, the first four or all sixteen copy it. The
  sets of neighbouring steps hardly overlap, and yet a fixed list of varying length is all there is.
- `dynamic`: four heads of sixteen copy a token, and which four depends on the token alone. The set changes from token to token and is the
  same in every haystack. Any one of the four suffices, and the four most frequent heads never include all heads of a token.
- `step`: the same sets as the dynamic ones, but which of them copies depends on the number of the step alone, whatever the token. Two
  layers more tell it.

They are controls with a known answer: the claim that retrieval heads are dynamic must be refuted for the first two and supported for the
others, or the measurement is broken. Such heads are planted, so they prove nothing about trained models.

Known limits. A UUID is answered wrongly where three tokens of it recur in the same order (about 1 in 1500) or where its first eight
digits are all letters (1 in 2500: the space before it is then no token of its own). Only tokenizers like the bundled one will do: at
most 2048 tokens, the full stop and the hyphen one token each. Other tasks get no sensible answer. Right for up to `MAX_POSITIONS`
tokens. Layer 0 bears the loss of any four of its heads at a step, not always of five.
"""
