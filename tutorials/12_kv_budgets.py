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
# # 12. Caches that follow the step
#
# Keys and values of a long prompt fill the memory. HeadKV lets each head keep as much of them as its retrieval score
# says, once. You will deal such a budget out, see what an answer loses under it, and deal it out anew at every step.

# %%
import torch

import mechdyn as md
from mechdyn.improve.budgets.allocation import Allotment, budgets, published_budgets, scores_of
from mechdyn.improve.budgets.measure import BudgetSetting, measure_budgets
from mechdyn.improve.budgets.variant import Budgeted
from mechdyn.probes.forecast import fit_forecast
from mechdyn.stats.means import bootstrap_mean, paired_difference
from mechdyn.stats.overlap import static_ranking
from mechdyn.traces.budgets import CacheShare

model = md.load_model("mini")
shape = (model.n_layers, model.n_heads)

# %% [markdown]
# ## A list, and what it gives each head
#
# HeadKV scores a head by R2: its attention on the answer's sentence. Thirty samples give a list; the mean over their
# steps is what a static budget is dealt out by.

# %%
known = list(md.trace_many(model, [md.niah(model, length=256, depth=0.5, seed=seed) for seed in range(100, 130)], score="r2"))
right = [trace for trace in known if trace.answer in trace.text]
ranking = static_ranking(right)
scores = scores_of(ranking, *shape)
print(f"{len(right)} of {len(known)} answers are right; first heads: {', '.join(map(str, ranking.heads[:4]))}")
assert len(right) >= 25

# %% [markdown]
# Half of a prompt of 256 tokens is 128 positions a head. All heads see the last 8, the window; two thirds of the rest
# go into a pool that the scores deal out (β = 1.5), the others are everyone's floor.
#
# **Guess:** how many of the 248 positions before the window may the first head of the list keep?

# %%
my_guess = 200

# %%
how = Allotment.of_prompt(0.5, 256)
dealt, published = budgets(scores, how, n_keys=248), published_budgets(scores, how)
first = ranking.heads[0]
print(f"you guessed {my_guess}: {int(dealt[first])}, by the published formula {int(published[first])}; the floor is {int(dealt.min())}")
assert int(dealt.sum()) == how.free * model.n_layers * model.n_heads
assert int(dealt.max()) <= 248 < int(published.max())

# %% [markdown]
# The published formula gives more than there is, and what a head can't use is lost. Here it goes to the others, so that
# whatever deals the budget out, **the total is the same**. Only then can two ways to deal be compared.
#
# ## What an answer loses
#
# The model answers with its whole cache. Then its answer is fed to it again under smaller ones: how much less likely is
# each token?

# %%
sample = md.niah(model, length=256, depth=0.3, seed=7)
clean = md.trace(model, sample, score="r2")
sizes = (0.05, 0.1, 0.2, 0.5, 1.0)
caches = tuple(CacheShare(source, size) for source in ("uniform", "static", "oracle") for size in sizes)
one = measure_budgets(model, sample, clean, BudgetSetting(caches, scores))
print(clean.text)
for cache, loss, same in zip(one.caches, one.loss, one.same, strict=True):
    if cache.fraction in (0.1, 0.5):
        print(f"{cache.source:8s} {cache.fraction:4.0%}  {loss:6.3f} nats a token, {'the same answer' if same else 'another answer'}")
assert all(float(one.loss[one.place(CacheShare(source, 1.0))]) == 0 for source in ("uniform", "static", "oracle"))

# %% [markdown]
# A cache as long as the prompt is no compression at all. `oracle` deals out anew at every step, by the scores that the
# step has with the whole cache: it follows the step, and no running system can do that. Two can: `echo` goes by the last
# step's attention on tokens like the one that it gave, `forecast` by a linear probe of the last hidden state.
#
# ## Over samples
#
# One sample is no finding. Twenty others, each under five ways to deal, at a fifth of the prompt:
#
# **Guess:** of what the static budget loses, what share does the oracle save?

# %%
my_guess = 0.5

# %%
sources = ("uniform", "static", "oracle", "echo", "forecast")
setting = BudgetSetting(tuple(CacheShare(source, 0.2) for source in sources), scores, fit_forecast(known))
losses = {source: [] for source in sources}
for seed in range(20):
    each = md.niah(model, length=256, depth=0.1 + 0.04 * seed, seed=seed)
    trace = md.trace(model, each, score="r2")
    if trace.answer in trace.text:
        found = measure_budgets(model, each, trace, setting)
        for source, loss in zip(sources, found.loss, strict=True):
            losses[source].append(float(loss))
values = {source: torch.tensor(row).numpy() for source, row in losses.items()}
means = {source: bootstrap_mean(row, torch.ones(len(row)).numpy()) for source, row in values.items()}
gains = {source: paired_difference(values["static"], values[source]) for source in ("oracle", "echo", "forecast")}
for source, mean in means.items():
    print(f"{source:8s} {mean} nats a token" + (f", static less it {gains[source]}" if source in gains else ""))
print(f"you guessed {my_guess:.0%}: {gains['oracle'].estimate / means['static'].estimate:.0%}")
assert means["uniform"].estimate > means["static"].estimate
assert gains["oracle"].n >= 15 and gains["oracle"].low < 0 < gains["oracle"].high

# %% [markdown]
# The list is far better than an even budget, and following the step by its own scores gains nothing that twenty samples
# could show. Intervals are by sample, differences are paired. `mechdyn verify step_budgets` does this for six sizes and
# eight ways to deal, by criteria that were fixed beforehand.
#
# ## The curve

# %%
curve = {}
for cache, loss in zip(one.caches, one.loss, strict=True):
    curve.setdefault(cache.source, {})[cache.fraction] = bootstrap_mean(torch.tensor([float(loss)]).numpy(), torch.ones(1).numpy())
md.views.kv_budgets(curve, title="One sample", subtitle="no intervals: one sample has none")

# %% [markdown]
# ## What a cache really holds
#
# `mini` has 16 heads a layer on 8 key-value heads. The budget is a query head's, but memory holds keys of a key-value
# head: the **union** of what its two heads keep. With `per="kv"` the budget is dealt out among key-value heads, and the
# bytes are those that were asked for.

# %%
pair = measure_budgets(model, sample, clean, BudgetSetting((CacheShare("static", 0.1), CacheShare("static", 0.1, per="kv")), scores))
for cache, seen, held, size in zip(pair.caches, pair.seen, pair.held, pair.bytes_held, strict=True):
    print(f"a budget a {cache.per:5s} head: a head sees {seen:.0f} of 256, memory holds {held:.1f}, {size / 1024:.0f} KiB")
assert float(pair.held[0]) > float(pair.seen[0]) and float(pair.held[1]) == float(pair.seen[1]) == 26

# %% [markdown]
# ## Generating with it
#
# `Budgeted` is the model with such a cache, as `mechdyn improve kv-budgets` evaluates it: greedy answers, and the
# likelihood of texts that need no retrieval.

# %%
half = Budgeted(model, CacheShare("echo", 0.5), BudgetSetting((CacheShare("echo", 0.5),), scores))
(answer,) = half.answers([sample])
print(answer.text)
print(sample.answer)

# %% [markdown]
# ## What next
#
# - `mechdyn improve kv-budgets --source static --source echo --cache 0.2` puts caches to the one evaluation: needles,
# questions, drift, cost.
# - `--heads FILE` takes a published list (of a model of that shape) in place of one that is found here.
# - The same budgets are a press for NVIDIA's kvpress: see *Caches that follow the step* in the docs.
