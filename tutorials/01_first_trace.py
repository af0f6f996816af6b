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
# # 1. A first trace
#
# A language model finds a magic word in a long text. Some of its attention heads do the finding. Which ones, and are
# they the same at every step? You will trace one generation, look at the heads as they retrieve, and tell change from
# noise.
#
# Everything runs on `mini`, a model of 1.2 million parameters that comes with the package, in seconds on a CPU. You
# need mechdyn installed (see the README); in Colab, clone the repository and `%pip install -e .` first.

# %%
import mechdyn as md

model = md.load_model("mini")
model

# %% [markdown]
# ## A needle in a haystack
#
# `niah` hides a sentence with a random UUID in 512 tokens of prose and asks for it. `needle_spans` says where it
# stands.

# %%
sample = md.niah(model, length=512, depth=0.5, seed=0)
((start, end),) = sample.needle_spans
print(sample.prompt[start - 60 : end + 40])
print("question:", sample.question)

# %% [markdown]
# ## Predict, then trace
#
# `mini` has 5 layers of 16 heads. A head **retrieves** at a step if the position it attends to most lies in the needle
# *and* holds the very token that the model generates (Eq. 1 of the paper).
#
# **Before you run the next cell, guess:** of the 80 heads, how many retrieve while the first token of the answer is
# generated?

# %%
my_guess = 1

# %%
trace = md.trace(model, sample)
print("answer  ", trace.text)
print("expected", sample.answer)
print(f"you guessed {my_guess}; at step 0 it is {len(trace.heads(step=0))}: {trace.heads(step=0)}")
assert trace.text == sample.answer
assert len(trace.heads(step=0)) == 6

# %% [markdown]
# Some heads stand in the same layer, side by side. Each row of the picture below is a head, each column a generated
# token; dark is where the head retrieves. On top are the heads that retrieve at nearly every token, below them the ten
# of the others that vary most.

# %%
md.views.timeline(trace)

# %% [markdown]
# ## Always the same heads?
#
# At a step some five heads retrieve.
#
# **Guess:** over all 22 steps, how many *different* heads retrieve at least once? If it were always the same ones, it
# would be about 5.

# %%
my_guess = 5

# %%
per_step = trace.active.flatten(1).sum(dim=1).float().mean().item()
ever = int(trace.active.any(dim=0).sum())
print(f"{per_step:.1f} heads at a step; you guessed {my_guess} different ones, it is {ever}")
assert ever > 2 * per_step

# %% [markdown]
# So the set changes while the model writes. How much? The **Jaccard index** of two sets is the size of what they share
# over the size of what either holds: 1 for the same set, 0 for nothing in common. Take it for each pair of neighbouring
# steps.

# %%
sets = [trace.heads(step) for step in range(trace.n_steps)]
neighbours = [first.jaccard(second) for first, second in zip(sets, sets[1:])]
adjacent = sum(neighbours) / len(neighbours)
print(f"adjacent Jaccard {adjacent:.2f}, from {min(neighbours):.2f} to {max(neighbours):.2f}")
assert 0.7 < adjacent < 0.9

# %% [markdown]
# ## Change, or noise?
#
# A number below 1 can mean that heads are *dynamic*, each with its tokens. It can also mean that they are merely
# *noisy*. The same needle in **another haystack, at another depth** tells the two apart: noise would strike there as
# well, and the same step would have another set.
#
# **Guess:** will the sets of the same step in two haystacks overlap more than those of neighbouring steps, or less?

# %%
my_guess = "less"

# %%
again = md.trace(model, md.niah(model, length=512, depth=0.1, seed=1, needle_seed=0))
assert again.text == trace.text
repeated = [trace.heads(step).jaccard(again.heads(step)) for step in range(trace.n_steps)]
retest = sum(repeated) / len(repeated)
print(f"you guessed {my_guess}: the same step in another haystack {retest:.2f}, the neighbouring step {adjacent:.2f}")
assert retest > adjacent

# %% [markdown]
# More: the set belongs to the step, not to chance. That is what the paper calls **dynamism**. (One needle proves
# little. `mechdyn verify dynamism` does this for forty, with intervals, and on `mini` the verdict is *inconclusive*:
# the sets change less than the claim asks for.)
#
# ## Where does one head look?
#
# Traced with `keep_patterns=True`, a trace keeps the attention of every step. Here is a head at the first step: its
# strongest sources with the text around them, under an overview of the whole context; the needle is marked.

# %%
kept = md.trace(model, sample, keep_patterns=True)
head = next(iter(kept.heads(step=0)))
strongest = int(kept.patterns[0, head.layer, head.head].argmax())
assert strongest in sample.needle_positions.tolist()
md.views.attention(kept, 0, head, top_k=5)

# %% [markdown]
# ## What next
#
# - Change `depth`, `length` or `seed` above and run again. Do the same heads come back?
# - `md.views.layer_head(trace, step=3)` shows all heads of one step, `md.views.tokens(trace)` the text coloured by how
# many retrieve.
# - In a terminal: `mechdyn trace --model mini` does all of this and opens the timeline.
# - **Next tutorial:** these heads retrieve. Does the model need them?
