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
# # 8. Detection, and lists that others publish
#
# "Retrieval heads" come as lists: this group's, that paper's, yours. You will detect a list, ask how far it can be
# trusted, hold it against lists by two other definitions, and exchange lists in the layouts that others use.

# %%
import logging
import tempfile
from pathlib import Path

import mechdyn as md
from mechdyn.runs.configs import DetectConfig
from mechdyn.runs.detect import detect
from mechdyn.studies.head_lists import compare_lists
from mechdyn.studies.wu2024 import verdicts
from mechdyn.views.head_maps import head_map_difference

logging.getLogger("mechdyn").setLevel(logging.ERROR)  # what a layout has no room for is asked below
folder = Path(tempfile.mkdtemp())
model = md.load_model("mini")

# %% [markdown]
# ## Detect
#
# `mechdyn heads detect` is this function. It draws samples, drops those that the model answers wrongly and says why, and
# gives every head its mean score with an interval over needles.

# %%
asked = {"model": "mini", "lengths": (256,), "depths": (0.1, 0.5, 0.9), "runs": 8, "k": 10, "until_stable": False}
copied = detect(DetectConfig(score="copy_paste", **asked), folder / "copied")
for head, interval in list(zip(copied.ranking.heads, copied.intervals))[:7]:
    print(head, interval)
for cell in copied.cells:
    print(f"depth {cell.depth}: {cell.n_taken} of {cell.asked} samples count")
assert copied.stable and copied.ranking.heads[0] == md.Head(1, 6)

# %% [markdown]
# Halve the needles at random, make a list of each half, and count the heads that both have among their first ten: that is
# what two people would agree on who have half of your samples each.
#
# **Guess:** the Jaccard of the two lists' first ten heads?

# %%
my_guess = 0.8

# %%
halves = copied.halves
print(f"you guessed {my_guess}: {halves.jaccard:.2f}, 95 % of the halvings in [{halves.low:.2f}, {halves.high:.2f}]")
assert halves.jaccard > 0.7

# %% [markdown]
# ## Other definitions
#
# Eq. 1 counts a head where its strongest key is the token that is generated. HeadKV's R2 asks how many of its strongest keys
# lie in the needle, whatever the token; CompressKV's mass how much of its attention does.
#
# **Guess:** of the first ten heads by Eq. 1, how many are among the first ten by R2, on the same samples?

# %%
my_guess = 9

# %%
lists = {"Eq. 1": copied.ranking}
for name in ("r2", "mass"):
    lists[name] = detect(DetectConfig(score=name, **asked), folder / name).ranking
found = compare_lists(lists, 10)
for pair in found.pairs:
    by_chance = pair.overlap.chance
    print(f"{pair.first} and {pair.second}: {pair.overlap.shared} of 10, Jaccard {pair.overlap.jaccard:.2f} ({by_chance:.2f} by chance)")
eq_1_and_r2, eq_1_and_mass, r2_and_mass = (pair.overlap.shared for pair in found.pairs)
print(f"you guessed {my_guess}: {eq_1_and_r2}")
assert r2_and_mass > eq_1_and_mass >= eq_1_and_r2 and eq_1_and_r2 > 3

# %% [markdown]
# Two halves agree better than two definitions on the same samples: what differs is the definition, not chance. On models of
# billions of parameters, published lists share between none and 12 of 20 heads where their definitions differ (*How far
# definitions agree* in the docs). So a claim about "the" retrieval heads has to say which.

# %%
picture = head_map_difference({name: lists[name] for name in ("Eq. 1", "r2")}, k=10)
picture

# %% [markdown]
# ## Layouts
#
# A list is saved in the layout that a tool reads, and read back without a word about which it is.

# %%
copied.ranking.save(folder / "wu.json", format="wu")
print((folder / "wu.json").read_text()[:62], "...")
published = md.read_heads(folder / "wu.json")
print(published.heads[:3], f"n = {published.n}", f"model: {published.model}")
assert published.top(5) == copied.ranking.top(5)

# %% [markdown]
# Wu's layout holds the scores of each head's samples and not the model's name; other layouts lose other things, and
# `save` logs what. The log is off here. A file that is no list is refused:

# %%
(folder / "notes.json").write_text('{"monday": "rain"}')
try:
    md.read_heads(folder / "notes.json")
except md.MechdynError as error:
    message = str(error)
print(message.replace(str(folder), "…"))
assert "no list of heads" in message

# %% [markdown]
# ## Put it to use
#
# A list says which heads copied. Whether the answer needs them is another question: switch the first off, more and more of
# them, on needles that no list was made from.
#
# **Guess:** with how many of the first heads off does `mini` get none of eight needles right?

# %%
my_guess = 10

# %%
samples = [md.niah(model, length=256, depth=0.5, seed=seed) for seed in range(900, 908)]
right = {}
for k in (1, 3, 6):
    traces = md.trace_many(model, samples, ablate=md.Static(published.top(k)))
    right[k] = sum(trace.answer in trace.text for trace in traces)
    print(f"first {k} off: {right[k]} of 8 right")
print(f"you guessed {my_guess}: 6 of {model.n_layers * model.n_heads} heads are enough")
assert right[1] >= 6 and right[6] == 0

# %% [markdown]
# Wu et al. call retrieval heads *sparse*: less than 5 % of a model's heads. A list is enough to judge that; no model is run.

# %%
(verdict,) = verdicts("sparse", {"mini": lists["Eq. 1"]}, 10)
print(verdict.outcome)
for reason in verdict.reasons:
    print("-", reason)
assert verdict.outcome == "inconclusive"

# %% [markdown]
# Inconclusive, for a model of 80 heads: four that surely copy are 5 %, and two more may. Small models have few heads to spare.
#
# ## What next
#
# - `mechdyn heads show FILE`, `heads convert`, `heads compare A B C` and `heads verify sparse FILE` do this from a shell.
# - `mechdyn ablate --heads FILE` and `mechdyn trace --off FILE:top=5` take any of these files.
# - Lists of real models: `mechdyn models get smollm2-135m`, then tutorial 9.
