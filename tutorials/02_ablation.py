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
# # 2. Switching heads off
#
# A head that looks at the needle need not matter: others may do its work. The test is to switch it off (**ablation**)
# and to see what is generated instead. You will switch off one head, a few, and at every step exactly those that
# retrieve at that step, each beside a control.

# %%
import mechdyn as md

model = md.load_model("mini")
sample = md.niah(model, length=512, depth=0.5, seed=0)
clean = md.trace(model, sample)
assert clean.text == sample.answer
clean

# %% [markdown]
# ## One head
#
# These heads retrieve most often in this generation:

# %%
often = clean.retrieval_scores.mean(dim=0)
order = often.flatten().argsort(descending=True, stable=True)
ranked = [md.Head(*divmod(int(index), model.n_heads)) for index in order]
for head in ranked[:6]:
    print(f"{head}  retrieves at {often[head]:.0%} of the steps")

# %% [markdown]
# **Before you run the next cell, guess:** with the first of them off at every step, will the answer still be right?

# %%
my_guess = False

# %%
one = md.Static(md.HeadSet.of(ranked[:1], model.n_layers, model.n_heads))
without_one = md.trace(model, sample, ablate=one)
print(f"you guessed {my_guess}: without {ranked[0]} the model writes {without_one.text}")
assert without_one.text == sample.answer

# %% [markdown]
# Nothing happens: the others carry on. This is why looking at a head is not enough.
#
# ## Five heads
#
# **Guess:** with the five that retrieve most off, what will the model write: the right UUID, a wrong UUID, or something
# else?

# %%
my_guess = "a wrong UUID"

# %%
five = md.Static(md.HeadSet.of(ranked[:5], model.n_layers, model.n_heads))
without_five = md.trace(model, sample, ablate=five)
print(f"you guessed {my_guess}: without {five.chosen} the model writes {without_five.text!r}")
assert sample.answer not in without_five.text

# %% [markdown]
# Something else: without them the needle is as good as gone. It does not even take five. With three off the answer
# stands; with the fourth it falls. `compare` sets two generations side by side, with the number of retrieving heads at each
# step; rows that differ are coloured.

# %%
three, four = (md.Static(md.HeadSet.of(ranked[:k], model.n_layers, model.n_heads)) for k in (3, 4))
assert md.trace(model, sample, ablate=three).text == sample.answer
without_four = md.trace(model, sample, ablate=four)
assert without_four.text != sample.answer
md.views.compare(clean, without_four)

# %% [markdown]
# ## The heads of the very step
#
# The paper's ablation is finer. At **each step** a first forward observes which heads retrieve *now*; its token is
# thrown away; a second forward of the same input, with those heads off, gives the token. Such a schedule is
# `Dynamic()`. As a control, `RandomHeads(k=7)` switches off seven heads drawn afresh at each step, somewhat more than
# retrieve at a step on average.
#
# `trace_conditions` runs samples under several conditions from one reading of each prompt. Eight needles will do.
#
# **Guess** how many of the eight answers stay right under each condition.

# %%
my_guess = {"nothing off": 8, "the step's heads": 0, "always the same five": 4, "seven at random": 4}

# %%
samples = [md.niah(model, length=256, depth=0.1 + 0.1 * number, seed=number) for number in range(8)]
conditions = {"nothing off": None, "the step's heads": md.Dynamic(), "always the same five": five, "seven at random": md.RandomHeads(7)}
found = md.trace_conditions(model, samples, conditions)
right = {name: sum(sample.answer in traces[name].text for sample, traces in zip(samples, found)) for name in conditions}
for name, n in right.items():
    print(f"{name:22} {n} of 8 right, you guessed {my_guess[name]}")
assert right["nothing off"] == 8
assert right["the step's heads"] == 0
assert right["seven at random"] > right["the step's heads"]

# %% [markdown]
# Switching off the step's own heads destroys every answer; as many at random do much less. So *which* heads are off
# matters.
#
# ## Is that because they are dynamic?
#
# Careful. The paper says that no fixed list can stand in for the step's own heads. On `mini`, five fixed heads do the
# same harm:

# %%
print(right["always the same five"], "of 8 right with five fixed heads off")
assert right["always the same five"] == 0

# %% [markdown]
# The claim, **irreplaceability**, compares with fixed heads *of the same size at each step*, over many samples, with
# intervals. Its verdict on `mini` is *refuted*: `mechdyn verify irreplaceability --model mini`. On the control
# `planted-dynamic`, which was built so that every step has its own heads, it is *supported*. A measurement worth
# trusting can say both.
#
# ## What takes a head's place
#
# Zero is not the only choice: a zeroed head is a state the model has never seen. `method="mean"` puts in what the head
# gives on average over other prompts.
#
# **Guess:** is the mean gentler than zero for the step's heads?

# %%
my_guess = True

# %%
reference = md.reference_activations(model, [md.niah(model, length=256, depth=0.5, seed=100 + number) for number in range(8)])
gentler = md.Ablation(md.Dynamic(), method="mean", reference=reference)
by_mean = [traces["mean"] for traces in md.trace_conditions(model, samples, {"mean": gentler})]
n_zero, n_mean = right["the step's heads"], sum(sample.answer in trace.text for sample, trace in zip(samples, by_mean))
print(f"you guessed {my_guess}; with the mean in their place {n_mean} of 8 are right, with zero {n_zero}")
assert n_mean == n_zero == 0

# %% [markdown]
# No gentler: what these heads carry is the answer itself, and an average over other prompts does not have it.

# %% [markdown]
# ## What next
#
# - `md.Ablation(md.Dynamic(), commit="ablated")` keeps the ablated forward's keys and values instead of the observing
# one's. Does it change   anything?
# - `mechdyn ablate --model mini` draws the whole grid: lengths, depths, all controls (Figure 2 of the paper).
# - **Next tutorial:** can the model's hidden state tell which heads will retrieve?
