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
# %% [markdown]
# # 9. A real model
#
# `mini` was trained for this package. SmolLM2-135M-Instruct was not: 30 layers of 9 heads, trained on two trillion tokens by
# others, small enough for a laptop. `mechdyn models get smollm2-135m` fetches it once (98 MB, Apache-2.0); this notebook then
# needs no network. You will trace it, test whether its heads change, and switch some off.

# %%
import mechdyn as md

model = md.load_model("smollm2-135m")
print(model)
assert (model.n_layers, model.n_heads) == (30, 9)

# %% [markdown]
# ## One needle
#
# **Guess:** of 270 heads, how many retrieve at a step, on average?

# %%
my_guess = 50

# %%
samples = [md.niah(model, length=256, depth=0.5, seed=seed) for seed in range(4)]
traces = list(md.trace_many(model, samples))
right = [trace.answer in trace.text for trace in traces]
sizes = [len(trace.heads(step)) for trace in traces for step in range(trace.n_steps)]
print(traces[0].text)
print(f"right: {sum(right)} of {len(right)}")
print(f"you guessed {my_guess}: {sum(sizes) / len(sizes):.1f} heads at a step")
assert sum(right) >= 3 and 2 < sum(sizes) / len(sizes) < 12

# %%
picture = md.views.timeline(traces[0])
picture

# %% [markdown]
# ## Do they change?
#
# The paper's first claim: the set of retrieval heads changes from token to token. Neighbouring steps are compared by the
# Jaccard of their sets.
#
# **Guess:** the mean Jaccard of neighbouring steps?

# %%
my_guess = 0.9

# %%
pairs = [trace.heads(step).jaccard(trace.heads(step + 1)) for trace in traces for step in range(trace.n_steps - 1)]
known = [value for value in pairs if value == value]  # NaN where no head retrieves at either step
mean = sum(known) / len(known)
print(f"you guessed {my_guess}: {mean:.2f} over {len(known)} pairs of steps")
assert 0.3 < mean < 0.7

# %% [markdown]
# Sets change. Whether *other heads* take over, or a fixed order of heads is on in varying number, four needles do not tell:
# `mechdyn verify dynamism --model smollm2-135m` asks that with a retest, controls and intervals, and takes some minutes.
#
# ## Do they matter?
#
# Switch all of a step's retrieval heads off, at every step, and beside it as many others at random.
#
# **Guess:** how many of the four answers are still right?

# %%
my_guess = 2

# %%
dynamic = list(md.trace_many(model, samples, ablate=md.Dynamic()))
others = list(md.trace_many(model, samples, ablate=md.RandomHeads(5, exclude="active")))
still = [sum(trace.answer in trace.text for trace in found) for found in (dynamic, others)]
print(f"you guessed {my_guess}: {still[0]} without the step's own heads, {still[1]} without five others")
print("without them:", dynamic[0].text[:60])
assert still[0] == 0 < still[1]

# %% [markdown]
# ## What next
#
# - `mechdyn verify --all --model smollm2-135m` puts every claim to it and shares traces between them.
# - `mechdyn app --model smollm2-135m` does this notebook by hand.
# - The verdicts on this model, with what they rest on: *SmolLM2* in the docs.
