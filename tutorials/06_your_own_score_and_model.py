# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Your own score, your own model
#
# What counts as retrieving is a choice. You will write a score of your own, hold it against a case that you can work
# out by hand, trace with it, and then bring a model of your own.

# %%
import tempfile
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import mechdyn as md
from mechdyn.scores.score import as_score

model = md.load_model("mini")
sample = md.niah(model, length=256, depth=0.5, seed=0)

# %% [markdown]
# ## A score is a function
#
# At each step it gets one attention row for each head of a layer, and the tokens that the row runs over; it returns a
# number for each head. Eq. 1 asks for the *single* strongest position. A softer question: **how much** attention lies
# on needle tokens that are the generated one, wherever the maximum is?


# %%
def copied_mass(pattern, context):
    """Attention on needle tokens that equal the generated token; in [0, 1]."""
    same = context.needle & (context.tokens == context.predicted[:, None])
    return (pattern * same[:, None, :]).sum(dim=-1)


assert isinstance(copied_mass, md.Score)

# %% [markdown]
# ## First by hand
#
# Five positions hold the tokens 7, 8, 7, 9, 8; the needle are positions 1 to 3; the model generates 7. One head spreads
# its attention as 0.5, 0.1, 0.3, 0.1, 0.0.
#
# **Before you run the next cell, work out** the score of this head, and what Eq. 1 would say.

# %%
my_guess = {"copied mass": 0.5, "Eq. 1": 1}

# %%
pattern = torch.tensor([[0.5, 0.1, 0.3, 0.1, 0.0]])
row = {"tokens": [7, 8, 7, 9, 8], "needle_positions": [1, 2, 3], "predicted": 7}
mass, copied = (md.score_row(score, pattern, **row).item() for score in (copied_mass, md.copy_paste))
print(f"copied mass {mass:.1f}, Eq. 1 {copied:.0f}; you guessed {my_guess}")
assert abs(mass - 0.3) < 1e-6 and copied == 0

# %% [markdown]
# Position 0 holds the right token and draws most attention, but it is not in the needle: 0.3 for position 2 is all that
# counts, and Eq. 1 gives 0.
#
# ## Trace with it
#
# The score is evaluated inside each step, so whole attention patterns need not be kept. The threshold says from where
# on a head counts as retrieving.
#
# **Guess:** with a threshold of 0.2, will more heads retrieve at a step than under Eq. 1, or fewer?

# %%
my_guess = "more"

# %%
by_mass = md.trace(model, sample, score=copied_mass, threshold=0.2)
by_maximum = md.trace(model, sample)
n_mass, n_maximum = (trace.active.flatten(1).sum(dim=1).float().mean().item() for trace in (by_mass, by_maximum))
print(f"you guessed {my_guess}: {n_mass:.1f} heads a step by mass, {n_maximum:.1f} by Eq. 1")
assert by_mass.text == by_maximum.text == sample.answer
assert 0 < n_mass < n_maximum

# %% [markdown]
# Fewer: a head may have its maximum on the right token and yet spread most of its attention elsewhere. Under this
# threshold it does not count.

# %%
md.views.timeline(by_mass)

# %% [markdown]
# Registered under a name, a score can be asked for by it, brings its own threshold, and is part of the key that each
# trace is stored under. `@md.score("copied_mass", threshold=0.2)` above the function does the same as the first line here.

# %%
md.score("copied_mass", threshold=0.2)(copied_mass)
print(dict(as_score("copied_mass").spec), "above", as_score("copied_mass").threshold)
assert md.trace(model, sample, score="copied_mass").unit == md.trace(model, sample, score=copied_mass, threshold=0.2).unit

# %% [markdown]
# ## Your own model
#
# `load_model` takes any folder in Hugging Face's format with a decoder that can be hooked, and any hub id. Here is a
# Llama that has learned nothing, with `mini`'s tokenizer.

# %%
config = LlamaConfig(
    vocab_size=model.tokenizer.vocab_size,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
)
torch.manual_seed(0)
folder = Path(tempfile.mkdtemp()) / "untrained"
LlamaForCausalLM(config).save_pretrained(folder)
model.tokenizer.save_pretrained(folder)
untrained = md.load_model(str(folder))
print(f"{untrained.n_layers} layers x {untrained.n_heads} heads, context {untrained.n_ctx}")
assert (untrained.n_layers, untrained.n_heads) == (3, 4)

# %% [markdown]
# **Guess:** at how many of its steps does a head of the untrained model retrieve, by Eq. 1?

# %%
my_guess = 5

# %%
own = md.niah(untrained, length=256, depth=0.5, seed=0)
nothing = md.trace(untrained, own, max_new_tokens=24)
retrieving = int(nothing.retrieving_steps.sum())
print(f"you guessed {my_guess}: {retrieving} of {nothing.n_steps} steps")
assert retrieving <= 2 and own.answer not in nothing.text

# %% [markdown]
# Good: a measurement that found retrieval heads here would be worth nothing. mechdyn's own controls go further,
# `planted-static` and `planted-dynamic` are built so that the answer is known; do the same for a score of yours.
#
# ## What next
#
# - A frozen dataclass with a `__call__` makes a score with options; see `md.Reasoning`.
# - The guide *Bring your own model* in the docs says what a model must have, and how to check that mechdyn reads it
# rightly.
# - `mechdyn verify dynamism --model FOLDER` judges the claim on it.
