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
# # 7. Your own text, and DataFrames
#
# Your documents are neither needles in prose nor HotpotQA. You will make samples of a text of your own, trace fifty of
# them, and ask everything else of one pandas `DataFrame`: a row for each step and head.

# %%
import json
import random
import tempfile
import uuid
from pathlib import Path

import plotly.express as px

import mechdyn as md

model = md.load_model("mini")

# %% [markdown]
# ## One sample
#
# A sample is a context, a question, and the **spans** of the context that hold the answer: as characters, or quoted. A
# quotation must occur once; else the spans would be a guess, and that is an error.


# %%
def delivery_log(seed):
    """A made-up log of a mill with one code in it, as the arguments of `md.sample`."""
    draw = random.Random(seed)
    name, code = draw.choice(["red door", "blue gate", "green tower", "black clock"]), str(uuid.UUID(int=draw.getrandbits(128)))
    lines = [f"On day {day} the mill was open and the miller spoke of the weather." for day in range(draw.randint(2, 6))]
    fact = f"The {name} code is {code}."
    lines.insert(draw.randrange(len(lines) + 1), fact)
    return {"context": " ".join(lines), "question": f"What is the {name} code?", "spans": [fact], "answer": code}


one = md.sample(model, **delivery_log(2))
((start, end),) = one.needle_spans
print(one.prompt[start:end])
assert one.answer in one.prompt[start:end]

# %%
twice = delivery_log(2) | {"spans": ["the mill was open"]}
try:
    md.sample(model, **twice)
except md.MechdynError as error:
    message = str(error)
print(message)
assert "occurs" in message and "times" in message

# %% [markdown]
# ## Fifty of them, one frame, one picture
#
# From samples to a picture of every head at every step it is five lines. `md.frame` takes traces, or one trace; a store
# on disk has the same as `store.to_frame()`.

# %%
samples = [md.sample(model, **delivery_log(seed)) for seed in range(50)]
traces = list(md.trace_many(model, samples, max_new_tokens=24))
frame = md.frame(traces)
by_step = frame.pivot_table("score", ["layer", "head"], "step", aggfunc="mean", observed=True)
picture = px.imshow(by_step.to_numpy(), labels={"x": "step", "y": "layer * 16 + head", "color": "share"}, aspect="auto")
picture

# %%
print(list(frame.columns))
assert len(frame) == sum(trace.n_steps for trace in traces) * model.n_layers * model.n_heads
frame.head(3)[["sample", "step", "token", "layer", "head", "score", "retrieves"]]

# %% [markdown]
# ## Ask the frame
#
# **Guess:** of the 80 heads, how many retrieve at half of all steps or more, on your text?

# %%
my_guess = 10

# %%
share = frame.groupby(["layer", "head"])["retrieves"].mean()
steady = share[share >= 0.5]
strongest = md.Head(*map(int, share.idxmax()))
print(f"you guessed {my_guess}: {len(steady)}, the strongest, {strongest}, at {share.max():.0%} of the steps")
assert 2 < len(steady) < 10 and share.max() > 0.7

# %% [markdown]
# Traces know more than a row can hold. Was an answer right, and do heads retrieve more where it was? Add a column: a
# sample's name joins the two.
#
# **Guess:** what share of the fifty codes does `mini` get right? It has never seen a mill.

# %%
my_guess = 0.9

# %%
right = {trace.sample: trace.answer in trace.text for trace in traces}
n_right = sum(right.values())
heads_at_step = frame.groupby(["sample", "step"], observed=True)["retrieves"].sum().reset_index()
heads_at_step["right"] = heads_at_step["sample"].map(right)
by_answer = heads_at_step.groupby("right", observed=True)["retrieves"].mean()
print(f"you guessed {my_guess:.0%}: {n_right} of {len(traces)}")
print(f"heads that retrieve at a step: {by_answer[True]:.2f} where the answer is right, {by_answer[False]:.2f} where not")
assert 30 < n_right < 48

# %% [markdown]
# Two means are not yet a finding: steps of one answer are alike, so samples, not steps, are what an interval must draw
# from. `mechdyn.stats.means` does that.
#
# ## The same from a file
#
# The commands take your text as a file, one JSON object a line, with the same fields.

# %%
folder = Path(tempfile.mkdtemp())
lines = [json.dumps({"id": f"log-{seed}", **delivery_log(seed)}) for seed in range(50)]
(folder / "logs.jsonl").write_text("\n".join(lines))
verdict = md.verify(md.VerifyConfig("dynamism", task="own", data=str(folder / "logs.jsonl")), out=folder / "run").verdict
store = md.TraceStore.open(folder / "run" / "traces")
print(verdict.outcome, "on", store.n_traces, "traces")
print(verdict.notes[0])
assert store.to_frame()["task"].unique().tolist() == ["own"]

# %% [markdown]
# The verdict names what your file can't give: each text stands once, so nothing tells a head's own change from noise.
# To find that out, give each code a second context, as tutorial 1 does.
#
# ## What next
#
# - `mechdyn trace --task own --data FILE.jsonl --sample log-3` opens one of them in the browser; `mechdyn ablate`,
# `explore` and `rag` take the same two options.
# - A prompt that is rendered already goes in whole: `md.sample(model, prompt=..., spans=[...])`.
# - A task of your own, with its own draws and metrics, is one file: see *Extending mechdyn* in the docs.
