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
# # 3. Hidden states and probes
#
# Does the model's final hidden state say which heads retrieve, now or at later steps? The paper fits a small network (a
# **probe**) that reads the hidden state of step *n* and predicts the heads of step *n + k*. You will fit one, and hold
# it against predictors that know much less: a number means little without what it has to beat.

# %%
import mechdyn as md
from mechdyn.probes.baselines import BaseRate, Persistence, StepRate
from mechdyn.probes.report import compare
from mechdyn.views.probe import by_head

model = md.load_model("mini")

# %% [markdown]
# ## Traces to learn from
#
# Sixty needles, a short generation each. Samples are split 70/20/10 into training, validation and test, **by sample**:
# the steps of one generation resemble each other, and a split by step would let the probe peek.

# %%
samples = [md.niah(model, length=128, depth=0.1 + 0.2 * (number % 5), seed=number) for number in range(60)]
traces = list(md.trace_many(model, samples, batch_size=20))
n_steps = sum(trace.n_steps for trace in traces)
right = sum(sample.answer in trace.text for sample, trace in zip(samples, traces))
print(f"{n_steps} steps, {right} of 60 answers right")
assert right > 50

# %%
data = md.probe_data(traces, offset=0)
print(f"rows to train on {len(data.train)}, to test on {len(data.test)}")
print(f"a row: {data.d_model} numbers in, {model.n_layers * model.n_heads} heads out")
assert len(data.train) > 5 * len(data.test)

# %% [markdown]
# ## Fit, and compare
#
# Heads retrieve rarely, so the paper measures **AUPRC**, the area under the precision-recall curve: 1 is perfect.
#
# The simplest baseline, the *base rate*, predicts for each head how often it retrieves in training, whatever the step.
# It never looks at anything.
#
# **Before you run the next cell, guess** the AUPRC of the base rate on `mini`. (The paper's probes reach 0.89 to 0.93.)

# %%
my_guess = 0.3

# %%
probe = md.fit_probe(data)
predictors = {"probe": probe, "base rate": BaseRate.of(data), "rate of the step": StepRate.of(data), "persistence": Persistence.of(data)}
reports = compare(predictors, data)
for name, report in reports.items():
    print(f"{name:18} AUPRC {report.auprc:.2f}")
print(f"you guessed {my_guess} for the base rate")
base, best = reports["base rate"].auprc, reports["probe"].auprc
assert base.estimate > 0.8
assert best.estimate > base.estimate
assert base.estimate < reports["rate of the step"].auprc.estimate < best.estimate

# %% [markdown]
# The base rate alone is near what the paper reports for its probes: on this model a few heads retrieve at nearly every
# step, and knowing them is most of the game. The probe is a little above it; intervals this wide, of six test samples,
# overlap. How much the hidden state says is the *difference*. And that shrinks further: the *rate of the step*,
# which knows nothing but the step's number, comes within a few hundredths, since a UUID has its dashes at the same
# places each time.
#
# ## Looking ahead
#
# **Guess:** the probe for *k = 2* reads the hidden state of step *n* and must name the heads two tokens later. Does its
# AUPRC fall below the base rate?

# %%
my_guess = True

# %%
ahead = md.probe_data(traces, offset=2)
later = compare({"probe": md.fit_probe(ahead), "base rate": BaseRate.of(ahead), "persistence": Persistence.of(ahead)}, ahead)
for name, report in later.items():
    print(f"k = 2, {name:12} AUPRC {report.auprc:.2f}")
assert later["probe"].auprc.estimate > later["base rate"].auprc.estimate

# %% [markdown]
# It falls, and stays above the base rate: some of what comes later can be read off now. The paper calls this planning.
# It may also be that scores simply repeat, or that the hidden state knows which step it is; those are the baselines
# *persistence* and *rate of the step*. `mechdyn verify anticipation` puts the question with five of them.
#
# ## Which heads can be told?
#
# An AUPRC for each head; blank where a head never retrieves in the test samples.

# %%
from mechdyn.probes.report import auprc_by_head

by_head(auprc_by_head(probe(data.test), data.test).reshape(model.n_layers, model.n_heads), title="probe, k = 0")

# %% [markdown]
# ## Using it
#
# `predict` gives a probability for each head from any hidden state, `heads` those above the probe's threshold. That is
# how dynamic RAG (tutorial 5) chooses heads without looking at attention.

# %%
told = probe.heads(traces[0].hidden)
actual = traces[0].active
shared = (told & actual).sum() / (told | actual).sum()
print(f"first sample: told {int(told.sum())}, actual {int(actual.sum())}, Jaccard {shared:.2f}")
assert shared > 0.6

# %% [markdown]
# ## What next
#
# - `md.fit_probe(data, preset="linear")` is a logistic regression. How much does depth buy?
# - Shuffle the labels (`mechdyn.probes.baselines.shuffled_probe`). What should come out?
# - `mechdyn verify correlation --model mini` judges the paper's claim, with canonical correlations beside the probes.
# - **Next tutorial:** questions whose answer must be reasoned.
