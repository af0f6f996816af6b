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
# # 10. From a finding to a better model?
#
# You know which heads retrieve. Can that make a model answer better? You will decode by contrast with the model without
# those heads (DeCoRe), learn a factor for each head (SEAL), and put both to the same evaluation, with a control beside each.

# %%
import tempfile

import torch

import mechdyn as md
from mechdyn.improve.decore import ContrastStrength, Decore
from mechdyn.improve.evaluation import evaluate
from mechdyn.improve.output_scales import OutputScales, Scaled, fold
from mechdyn.improve.plain import Ablated, Plain
from mechdyn.improve.seal import load_seal
from mechdyn.improve.seal_training import SealTraining, target_text, train_seal
from mechdyn.improve.task_samples import prose_texts, samples_of_task
from mechdyn.plans import Preset

model = md.load_model("mini")
plain = Plain(model)

# %% [markdown]
# ## What to improve
#
# At short prompts `mini` is nearly always right, and there is nothing to gain. Two-hop questions among a thousand tokens
# are harder. Texts with nothing to look up in them will show whether something else was broken.

# %%
questions = samples_of_task(model, "world", Preset((1024,), 2))
texts = prose_texts(model, n=2, length=48)
answers = plain.answers(questions.samples)
judged = [questions.quality(sample, answer.text) for sample, answer in zip(questions.samples, answers, strict=True)]
print("EM", sum(row["em"] for row in judged) / len(judged), "of", len(judged), "questions;", *questions.metrics)
assert len(judged) == 10 and "quote_f1" in questions.metrics

# %% [markdown]
# ## DeCoRe
#
# The next token is the likeliest under $(1 + \alpha) \log p - \alpha \log p'$: $p$ is the model's distribution, $p'$ that of the
# same model with its retrieval heads off, $\alpha$ the entropy of $p$. What retrieval adds is pushed further, the more the
# less sure the model is.
#
# First a list of heads, from other questions.

# %%
others = [md.world(model, length=300, seed=1000 + seed) for seed in range(6)]
scores = torch.stack([trace.retrieval_scores.mean(dim=0) for trace in md.trace_many(model, others, score="reasoning")])
ranked = scores.mean(dim=0).flatten().argsort(descending=True)[:4].tolist()
listed = md.heads([(index // model.n_heads, index % model.n_heads) for index in ranked])
print(listed)
assert len(listed) == 4

# %% [markdown]
# Two things must hold before a number means anything: with $\alpha = 0$ this is greedy decoding, and the weaker model really
# is weaker.

# %%
none = Decore(model, md.Static(listed), contrast=ContrastStrength(alpha=0.0))
weaker = Ablated(model, md.Ablation(md.Static(listed), method="uniform", scope="decode"), name="weaker")
some = list(questions.samples[:4])
assert [each.tokens for each in none.answers(some)] == [each.tokens for each in plain.answers(some)]
print([each.text[-40:] for each in weaker.answers(some)])
assert [each.tokens for each in weaker.answers(some)] != [each.tokens for each in plain.answers(some)]

# %% [markdown]
# Now the evaluation: the same questions and texts before and after. Beside the list stands a control: as many heads that
# are *not* on it.
#
# **Guess:** by how much does DeCoRe raise exact match on these ten questions?

# %%
my_guess = 0.2

# %%
free = [index for index in range(model.n_layers * model.n_heads) if index not in ranked]
control = md.heads([(index // model.n_heads, index % model.n_heads) for index in free[::19][:4]])
variants = [Decore(model, md.Static(listed), "DeCoRe"), Decore(model, md.Static(control), "control")]
found = evaluate(plain, variants, [questions], texts=texts, batch_size=10)
frame = found.to_frame()
print("you guessed", my_guess)
assert found.find("DeCoRe", "world", "em").difference.low < my_guess + 0.5
frame[(frame.metric == "em") & frame.length.isna()][["variant", "before", "after", "difference", "low", "high", "n"]].round(3)

# %% [markdown]
# Ten questions say little, and the interval says so: it reaches far to both sides. What is cheap to see is the price.

# %%
for cost in found.costs:
    print(f"{cost.variant}: keys and values {cost.cache_before / 2**20:.2f} → {cost.cache_after / 2**20:.2f} MiB")
assert all(cost.cache_after > cost.cache_before for cost in found.costs)

# %% [markdown]
# And what it did to texts in which nothing has to be looked up: the divergence from the model as it was, in nats a token.

# %%
for drift in found.drifts:
    print(f"{drift.variant}: KL {drift.kl.estimate:.3f}, perplexity {drift.perplexities[0]:.2f} → {drift.perplexities[1]:.2f}")
assert all(drift.kl.estimate > 0 for drift in found.drifts)

# %% [markdown]
# ## SEAL
#
# A factor for each head's output, learned from a few samples; every weight stays as it is. The factor 1 is the model itself,
# 0 is a head that is off.

# %%
tokens = texts[0]
expected = plain.log_probs(tokens)
assert torch.equal(Scaled(model, OutputScales.ones(model)).log_probs(tokens), expected)
off = Scaled(model, OutputScales.without(model, listed))
print("moved by switching the list off:", round(float((off.log_probs(tokens) - expected).abs().max()), 2))
assert not torch.allclose(off.log_probs(tokens), expected, atol=0.1)

# %%
lessons = [md.world(model, length=300, seed=2000 + seed) for seed in range(12)]
print(target_text(lessons[0]))
learned = train_seal(model, lessons, SealTraining(learning_rate=0.01))
factors = learned.scales.values[..., 0]
print(f"factors from {factors.min():.3f} to {factors.max():.3f}")
assert factors.shape == (model.n_layers, model.n_heads) and 0.8 < factors.min() < 1 < factors.max() < 1.2

# %% [markdown]
# The factors stand before $W_O$, so they can be multiplied into it: a checkpoint like any other, that costs nothing more to run.

# %%
folded = fold(model, learned.scales)
hooked = Scaled(model, learned.scales, "SEAL")
apart = (Plain(folded).log_probs(tokens) - hooked.log_probs(tokens)).abs().max()
print("differ by more than 0.0001 anywhere:", bool(apart > 1e-4))
assert torch.allclose(Plain(folded).log_probs(tokens), hooked.log_probs(tokens), atol=1e-4)

# %% [markdown]
# **Guess:** if the same factors are dealt to other heads at random, how many of the ten questions change their answer?

# %%
my_guess = 3

# %%
dealt = Scaled(model, learned.scales.dealt(0), "dealt")
said = {variant.name: [each.text for each in variant.answers(questions.samples)] for variant in (hooked, dealt)}
changed = {name: sum(text != answer.text for text, answer in zip(row, answers, strict=True)) for name, row in said.items()}
print(f"you guessed {my_guess}: {changed['dealt']}; the factors where they were learned: {changed['SEAL']}")
right = {name: sum(sample.answer in text for sample, text in zip(questions.samples, row, strict=True)) for name, row in said.items()}
print("hold the right answer, of ten:", right)
assert all(0 <= n <= 10 for n in changed.values()) and max(right.values()) <= 10

# %% [markdown]
# What was learned is kept with the identity of its model, and no other model takes it.

# %%
folder = learned.save(tempfile.mkdtemp() + "/scales")
assert torch.equal(load_seal(folder, model).scales.values, learned.scales.values)
try:
    load_seal(folder, md.load_model("planted-static"))
except md.MechdynError as error:
    message = str(error)
print(message.partition("(")[0].replace(str(folder), "…"))
assert "another model" in message

# %% [markdown]
# ## What next
#
# - `mechdyn improve decore` and `mechdyn improve seal` do all this with more samples, more tasks and resumed runs: see
# *Improving a model* in the docs, with numbers.
# - A way to decode of your own is a class with `name`, `answers` and `log_probs`: the same evaluation takes it.
