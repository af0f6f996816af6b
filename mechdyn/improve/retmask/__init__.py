"""RetMask (Ma & Okazaki 2026): contrast a model with itself without its retrieval heads, and train it by the difference.

Three stages, each usable alone: heads are switched off (`deactivate`), both models answer the same prompts (`sampling`, `preferences`), and
TRL's DPO trainer prefers what the intact one said (`dpo`). `losers` has the controls: other heads off, a weaker model.
"""
