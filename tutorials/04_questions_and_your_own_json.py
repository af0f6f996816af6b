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
# # 4. Questions in two hops, and your own JSON
#
# A needle is copied. A question such as *in which land was the painter of this picture born?* takes two facts, and its
# answer is reasoned. You will trace such a question, score heads by how much they attend to the facts, and then load
# questions of your own.

# %%
import json
import tempfile
from pathlib import Path

import mechdyn as md
from mechdyn.metrics import extract_answer, f1

model = md.load_model("mini")

# %% [markdown]
# ## The procedural world
#
# `world` makes two-hop questions out of invented people and places, so no model can know the answer beforehand.

# %%
sample = md.world(model, length=300, seed=3)
print("question:", sample.question)
for start, end in sample.needle_spans:
    print("fact:    ", sample.prompt[start:end])
print("answer:  ", sample.answer)

# %% [markdown]
# ## Another score
#
# On such questions heads seldom copy the token they look at. The paper scores a head by the **share of its attention on
# the supporting facts** (Eq. 2), leaving out the first tokens (the *sink*) and the last ones (the *local window*),
# which draw attention anyway. A head counts as retrieving above a threshold; 0.5 here.

# %%
score = md.Reasoning(sink=4, local=32)
trace = md.trace(model, sample, score=score, threshold=0.5, max_new_tokens=96)
print(trace.text)
print("answer:", extract_answer(trace.text), "| F1", f1(extract_answer(trace.text), sample.answer))
assert extract_answer(trace.text) == sample.answer
assert float(trace.retrieval_scores.min()) >= 0 and float(trace.retrieval_scores.max()) <= 1

# %% [markdown]
# The model quotes both facts and then answers. **Before you run the next cell, guess:** at which of the three parts of
# the text do most heads retrieve: the first quotation, the second, or the answer?

# %%
my_guess = "the answer"

# %%
counts = trace.active.flatten(1).sum(dim=1)
texts = list(trace.token_texts)
sentence_ends = [step for step, text in enumerate(texts) if "." in text]
parts = {
    "the first quotation": counts[: sentence_ends[0] + 1],
    "the second quotation": counts[sentence_ends[0] + 1 : sentence_ends[1] + 1],
    "the answer": counts[sentence_ends[1] + 1 :],
}
means = {name: float(part.float().mean()) for name, part in parts.items()}
for name, mean in means.items():
    print(f"{name:22} {mean:.1f} heads a step")
print(f"you guessed {my_guess}; most are at {max(means, key=means.get)}")
assert min(means["the first quotation"], means["the second quotation"]) > means["the answer"]

# %% [markdown]
# Grey cells lie below the threshold, coloured ones above.

# %%
md.views.timeline(trace)

# %% [markdown]
# ## Your own questions
#
# Any JSON in HotpotQA's layout will do: a list of questions, each with its paragraphs as `[title, [sentence, …]]` and
# its supporting facts as `[title, sentence index]`.

# %%
mine = [
    {
        "_id": "my-first-question",
        "question": "In which town was the maker of the Great Clock of Alba born?",
        "answer": "Norwick",
        "type": "bridge",
        "level": "easy",
        "context": [
            ["Great Clock of Alba", ["The Great Clock of Alba stands on a hill.", " It was made by Ada Brandt."]],
            ["Ada Brandt", ["Ada Brandt was born in Norwick.", " She made clocks all her life."]],
            ["Norwick", ["Norwick is a town by the sea."]],
        ],
        "supporting_facts": [["Great Clock of Alba", 1], ["Ada Brandt", 0]],
    }
]
folder = Path(tempfile.mkdtemp())
(folder / "mine.json").write_text(json.dumps(mine))
(item,) = md.read_items(folder / "mine.json")
own = md.hotpotqa(model, item)
for start, end in own.needle_spans:
    print(repr(own.prompt[start:end]))
assert [own.prompt[start:end].strip() for start, end in own.needle_spans] == [
    "It was made by Ada Brandt.",
    "Ada Brandt was born in Norwick.",
]

# %% [markdown]
# The facts are found by their characters in the rendered prompt, so markup, odd spaces and repeated sentences don't
# move them.
#
# **Guess:** `mini` was trained on its own little world only. Will it answer yours?

# %%
my_guess = False

# %%
answer = md.trace(model, own, score=score, threshold=0.5, max_new_tokens=96)
print(f"you guessed {my_guess}; the model writes: {answer.text}")
print(f"at {int(answer.retrieving_steps.sum())} of {answer.n_steps} steps some head looks at the facts")
assert answer.n_steps > 0

# %% [markdown]
# ## A slip in the file
#
# A fact that does not exist would make every score wrong without a sound. It is an error, in one line that names the
# question.

# %%
mine[0]["supporting_facts"][1] = ["Ada Brandt", 2]
(folder / "slip.json").write_text(json.dumps(mine))
try:
    md.read_items(folder / "slip.json")
except md.MechdynError as error:
    message = str(error).replace(str(folder), "…")
print(message)
assert "question my-first-question" in message and "sentence 2 of 'Ada Brandt'" in message

# %% [markdown]
# ## What next
#
# - Change `sink`, `local` and the threshold: do the same heads retrieve? The paper states none of the three; `mechdyn sensitivity`
# tells which verdicts depend on them.
# - `mechdyn verify dynamism --task hotpotqa --data FILE` judges a claim on a file of your own.
# - **Next tutorial:** use the heads to choose what the model may see.
