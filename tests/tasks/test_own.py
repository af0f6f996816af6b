"""Your own text: spans by offset and by quotation, whole prompts, files of samples, under several styles of tokenizer."""

import json
import random

import pytest

from mechdyn.errors import InputError
from mechdyn.tasks.own import Own, read_own, sample
from mechdyn.tasks.prose import procedural_prose
from tests.spans import check_marked
from tests.tokenizers import tokenizer_styles

STYLES = tuple(tokenizer_styles())
TOKENIZER = tokenizer_styles()["mini"]
CONTEXT = "The mill stands by the river. The magic word is 48213. Its wheel was painted green in spring."
ASKED = {"context": CONTEXT, "question": "What is the magic word?"}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(5))
def test_marked_tokens_are_those_that_overlap_the_spans(style, seed):
    rng, tokenizer = random.Random(seed), tokenizer_styles()[style]
    context = procedural_prose(seed, n_sentences=8)
    spans = []
    for _ in range(3):
        start = rng.randrange(len(context) - 1)
        spans.append((start, min(len(context), start + rng.randrange(1, 40))))
    made = sample(tokenizer, context=context, question="What is said?", spans=spans)
    start = made.prompt.index(context)
    places = [(start + first, start + last) for first, last in spans]
    assert list(made.needle_spans) == places and made.context_span == (start, start + len(context))
    check_marked(tokenizer, made, places)


@pytest.mark.parametrize("style", STYLES)
def test_a_quotation_is_the_span_of_its_characters(style):
    start = CONTEXT.index("magic word")
    tokenizer = tokenizer_styles()[style]
    quoted = sample(tokenizer, **ASKED, spans=["magic word"])
    given = sample(tokenizer, **ASKED, spans=[[start, start + len("magic word")]])
    assert quoted.key == given.key and quoted.needle_positions.tolist() == given.needle_positions.tolist()


def test_a_whole_prompt_is_taken_as_it_is():
    prompt = f"<|bos|>{CONTEXT}\nThe word is 48213 again."
    whole = sample(TOKENIZER, prompt=prompt, context=CONTEXT, spans=["48213"])
    assert whole.prompt == prompt and whole.tokens.tolist() == TOKENIZER(prompt, add_special_tokens=False).input_ids
    assert whole.needle_spans == ((prompt.index("48213"), prompt.index("48213") + 5),)
    last = prompt.rindex("48213")
    assert sample(TOKENIZER, prompt=prompt, spans=[(last, last + 5)]).needle_spans == ((last, last + 5),)


def test_a_system_text_of_ones_own_takes_the_place_of_the_usual_one():
    usual, own = sample(TOKENIZER, **ASKED), sample(TOKENIZER, **ASKED, system="Answer in one word.")
    assert "Answer in one word." in own.prompt and "helpful AI bot" not in own.prompt and "helpful AI bot" in usual.prompt


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs a context, or a whole rendered prompt"),
        ({"context": CONTEXT}, "needs a question"),
        ({**ASKED, "spans": ["no such words"]}, r"'no such words' does not occur in the text; .* give its characters as \[start, end\)"),
        ({**ASKED, "spans": ["in"]}, r"'in' occurs 3 times, at characters 71, 83, 89; give the characters of the one that is meant"),
        ({**ASKED, "spans": [(5, 5)]}, r"hold one or more, got \[5, 5\)"),
        ({**ASKED, "spans": [(90, 900)]}, rf"must lie in the text's {len(CONTEXT)} characters"),
        ({**ASKED, "spans": [(1, 2, 3)]}, r"is \[start, end\) in characters, or quoted text"),
        ({"prompt": CONTEXT, "system": "Be short."}, "a whole prompt has its system text already"),
    ],
)
def test_what_cannot_be_a_sample_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        sample(TOKENIZER, **given)


def written(path, *items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def test_a_file_holds_the_arguments_of_sample(tmp_path):
    item = {**ASKED, "spans": ["48213"], "answer": "48213"}
    path = written(tmp_path / "own.jsonl", {"id": "first", **item}, item)
    assert read_own(path) == {"first": item, "2": item}
    assert Own.build(TOKENIZER, file=str(path), id="first").key == sample(TOKENIZER, **item).key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "hold no object"),
        ("[1]\n", "line 1: an object is needed, got list"),
        ('{"context": "a"}\n{"contxt": "b"}\n', "line 2: unknown field 'contxt'"),
        ('{"id": 1}\n\n{"id": "1"}\n', "line 3: the id '1' comes twice"),
        ('{"spans": "a"}\n', "line 1: field 'spans' must be a list"),
        ("{\n", "line 1: not JSON"),
    ],
)
def test_a_malformed_file_is_refused_by_its_line(tmp_path, text, message):
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        read_own(tmp_path / "own.jsonl")


def test_a_file_that_changed_since_the_plan_is_refused(tmp_path):
    path = written(tmp_path / "own.jsonl", ASKED)
    with pytest.raises(InputError, match="changed since the run was planned"):
        Own.build(TOKENIZER, file=str(path), id="1", file_digest="0" * 16)


def test_an_answer_is_right_where_the_text_contains_it():
    assert Own.quality("It is 48213.", "48213")["accuracy"] == 1.0 and Own.is_correct("It is 48213.", "48213")
    assert Own.quality("It is 4821.", "48213")["accuracy"] == 0.0
    assert all(value != value for value in Own.quality("Anything.", "").values())
