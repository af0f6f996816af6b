"""Needles in haystacks, under several styles of tokenizer."""

import re
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.tasks.haystack import read_haystack, sentence_ends
from mechdyn.tasks.niah import INSTRUCTION, QUESTION, SYSTEM, needle_sentence, niah, niah_in
from mechdyn.tasks.prose import procedural_prose
from mechdyn.tasks.sample import Sample
from tests.real_data import real_data
from tests.spans import check_marked, decoded
from tests.tokenizers import tokenizer_styles

STYLES = tuple(tokenizer_styles())
DEPTHS = (0.0, 0.3, 0.5, 1.0)


def context_of(sample: Sample) -> str:
    return sample.prompt[slice(*sample.context_span)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("length", [300, 512, 1000])
def test_marked_tokens_are_the_needle(style: str, length: int) -> None:
    tokenizer = tokenizer_styles()[style]
    for seed, depth in enumerate(DEPTHS):
        sample = niah(tokenizer, length=length, depth=depth, seed=seed)
        ((start, end),) = sample.needle_spans
        assert sample.prompt[start:end] == needle_sentence(sample.answer)
        assert sample.prompt.count(sample.answer) == 1
        check_marked(tokenizer, sample, [(start, end)])
        positions = sample.needle_positions.tolist()
        assert needle_sentence(sample.answer) in decoded(tokenizer, sample, positions)
        assert decoded(tokenizer, sample, positions[1:-1]) in needle_sentence(sample.answer)
        assert sample.needle_mask.nonzero().flatten().tolist() == positions


@pytest.mark.parametrize("style", STYLES)
def test_the_length_is_met_and_never_exceeded(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    for length in (256, 257, 400, 777, 2000):
        sample = niah(tokenizer, length=length, depth=0.6, seed=length)
        assert length - 1 <= len(sample) <= length
        plain = tokenizer(sample.prompt, add_special_tokens=getattr(tokenizer, "chat_template", None) is None)["input_ids"]
        assert sample.tokens.tolist() == plain
        if tokenizer.bos_token_id in plain:
            assert plain.count(tokenizer.bos_token_id) == 1


def test_the_prompt_is_the_papers() -> None:
    sample = niah(tokenizer_styles()["byte_bpe_plain"], length=400, depth=0.5)
    context = context_of(sample)
    expected = f"{SYSTEM}\n\nContext:\n{context}\n\nQuestion:\n{QUESTION}\n\nInstruction:\n{INSTRUCTION}\n\nAnswer:"
    assert sample.prompt == expected
    assert uuid.UUID(sample.answer).version == 4
    assert str(uuid.UUID(sample.answer)) == sample.answer


@pytest.mark.parametrize("depth", [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_needle_goes_to_the_nearest_earlier_sentence_end(depth: float, seed: int) -> None:
    sample = niah(tokenizer_styles()["byte_bpe"], length=600, depth=depth, seed=seed)
    context, needle = context_of(sample), needle_sentence(sample.answer)
    before, after = context.split(needle)
    before = before.removesuffix(" ")
    size = len(before) + len(after)  # one more or less where white space was cut off the haystack's end
    assert after == "" or after[0] == " "
    assert before == "" or re.search(r"[.!?]$", before)
    assert len(before) <= depth * size + 1
    later = [end for end in sentence_ends(before + after) if end > len(before)]
    assert not later or later[0] > depth * size - 2
    if depth == 0.0:
        assert context.startswith(needle)


def test_a_seed_gives_one_sample_and_another_seed_another() -> None:
    tokenizer = tokenizer_styles()["prefix_space"]
    first, again, other = (niah(tokenizer, length=400, depth=0.5, seed=seed) for seed in (3, 3, 4))
    assert first.key == again.key
    assert first.tokens.equal(again.tokens)
    assert first.meta == again.meta
    assert other.key != first.key
    assert other.answer != first.answer
    assert context_of(other) != context_of(first)


def test_the_same_needle_in_another_haystack() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    first = niah(tokenizer, length=400, depth=0.2, seed=1)
    retest = niah(tokenizer, length=400, depth=0.8, seed=2, needle_seed=1)
    assert retest.answer == first.answer
    assert context_of(retest)[:100] != context_of(first)[:100]
    assert (retest.meta["seed"], retest.meta["needle_seed"], first.meta["needle_seed"]) == (2, 1, 1)


def test_meta_says_what_made_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text(procedural_prose(1, 50))
    sample = niah(tokenizer_styles()["unigram"], length=300, depth=0.25, seed=9, haystack=file)
    assert sample.meta == {"length": 300, "depth": 0.25, "seed": 9, "needle_seed": 9, "haystack": "book.txt"}
    assert (sample.task, sample.question) == ("niah", QUESTION)


def test_a_short_haystack_is_repeated(tmp_path: Path) -> None:
    file = tmp_path / "short.txt"
    file.write_text("One line. Two lines.")
    sample = niah(tokenizer_styles()["byte_bpe"], length=800, depth=0.5, haystack=file)
    assert 795 <= len(sample) <= 800
    assert context_of(sample).count("One line.") > 10


def test_a_haystack_begins_at_a_seeded_sentence_and_wraps(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("Alpha one. Beta two. Gamma three. Delta four.")
    starts = {
        context_of(niah(tokenizer_styles()["byte_bpe"], length=400, depth=1.0, seed=seed, haystack=file)).split()[0] for seed in range(30)
    }
    assert starts == {"Alpha", "Beta", "Gamma", "Delta"}


@pytest.mark.parametrize("style", STYLES)
def test_real_books(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    for seed, file in enumerate(sorted(real_data("haystack").glob("*.txt"))):
        sample = niah(tokenizer, length=1200, depth=0.1 + 0.4 * seed, seed=seed, haystack=file)
        assert 1190 <= len(sample) <= 1200
        check_marked(tokenizer, sample, list(sample.needle_spans))


def test_folders_are_read_in_name_order(tmp_path: Path) -> None:
    for name, text in (("b.txt", "Second."), ("a.txt", "First."), ("c.md", "Not this.")):
        (tmp_path / name).write_text(text)
    assert read_haystack(tmp_path) == "First. Second."


@pytest.mark.parametrize("depth", [-0.01, 1.01, float("nan"), 50.0])
def test_depths_outside_0_to_1_are_refused(depth: float) -> None:
    with pytest.raises(InputError, match=r"depth must lie in \[0, 1\], got"):
        niah(tokenizer_styles()["byte_bpe"], length=300, depth=depth)


def test_lengths_that_cannot_be_are_refused() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    with pytest.raises(InputError, match=r"length 40 cannot hold the needle: the prompt without any haystack has \d+ tokens"):
        niah(tokenizer, length=40, depth=0.5)
    for length in (0, -5):
        with pytest.raises(InputError, match=f"length must be a positive number of tokens, got {length}"):
            niah(tokenizer, length=length, depth=0.5)
    with pytest.raises(InputError, match=r"length 400 is beyond .* 399 positions, 64 for the answer; ask for at most 335"):
        niah(SimpleNamespace(tokenizer=tokenizer, n_ctx=399), length=400, depth=0.5)


def test_the_bare_prompt_is_the_shortest_length() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    with pytest.raises(InputError) as caught:
        niah(tokenizer, length=1, depth=0.5)
    bare = int(re.search(r"has (\d+) tokens", str(caught.value))[1])
    assert len(niah(tokenizer, length=bare, depth=0.5)) == bare
    with pytest.raises(InputError, match="cannot hold the needle"):
        niah(tokenizer, length=bare - 1, depth=0.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; give a file with some sentences of text"),
        (b" \n\t\n", "is empty"),
        (b"Text.\0\x01\x02", "is binary (it holds NUL bytes); give UTF-8 text"),
        (b"Caf\xe9 noir.", "is not UTF-8 (byte 3); convert it to UTF-8 text"),
        (b"no sentence ever ends here", "has no sentence end"),
    ],
)
def test_haystacks_that_are_no_text_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "haystack.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        niah(tokenizer_styles()["byte_bpe"], length=300, depth=0.5, haystack=file)
    assert "\n" not in str(caught.value)


def test_haystacks_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
        niah(tokenizer_styles()["byte_bpe"], length=300, depth=0.5, haystack=tmp_path / "none.txt")
    with pytest.raises(InputError, match=r"holds no \.txt file"):
        niah(tokenizer_styles()["byte_bpe"], length=300, depth=0.5, haystack=tmp_path)


def test_a_slow_tokenizer_is_refused() -> None:
    class SlowTokenizer:
        is_fast = False

    slow: Any = SlowTokenizer()
    with pytest.raises(UnsupportedModelError, match="a fast tokenizer with character offsets is needed, got SlowTokenizer"):
        niah(slow, length=300, depth=0.5)


OWN = {"needle": " The ferry to Tessil leaves at noon. ", "question": "When does the ferry leave? "}
HAYSTACK = "Aldo keeps bees.  He sells honey!\nThe ferry is old. Nobody likes rain."


@pytest.mark.parametrize("style", STYLES)
def test_a_needle_and_question_of_ones_own(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    sample = niah(tokenizer, length=400, depth=0.5, **OWN)
    assert 399 <= len(sample) <= 400
    ((start, end),) = sample.needle_spans
    assert sample.prompt[start:end] == sample.answer == OWN["needle"].strip()
    assert f"Question:\n{sample.question}\n" in sample.prompt and sample.question == OWN["question"].strip()
    check_marked(tokenizer, sample, [(start, end)])


@pytest.mark.parametrize("style", STYLES)
def test_a_haystack_of_ones_own_is_kept_as_it_is(style: str) -> None:
    tokenizer = tokenizer_styles()[style]
    sample = niah_in(tokenizer, HAYSTACK, depth=0.5, **OWN)
    assert (
        context_of(sample) == "Aldo keeps bees.  He sells honey! The ferry to Tessil leaves at noon. The ferry is old. Nobody likes rain."
    )
    check_marked(tokenizer, sample, list(sample.needle_spans))
    assert sample.meta["length"] == len(sample)


def test_a_needle_alone_is_found_where_it_stands_and_not_in_the_instructions() -> None:
    sample = niah_in(tokenizer_styles()["byte_bpe"], "", needle="You", question="Who?", depth=0.0)
    ((start, end),) = sample.needle_spans
    assert (context_of(sample), sample.prompt[start - 9 : end]) == ("You", "Context:\nYou")


def test_own_texts_that_cannot_be_used() -> None:
    tokenizer = tokenizer_styles()["byte_bpe"]
    with pytest.raises(InputError, match="the needle is empty; give a sentence"):
        niah(tokenizer, length=300, depth=0.5, needle=" \n")
    with pytest.raises(InputError, match="the question is empty"):
        niah_in(tokenizer, HAYSTACK, needle="A bee.", question="", depth=0.5)
    with pytest.raises(InputError, match=r"depth must lie in \[0, 1\]"):
        niah_in(tokenizer, HAYSTACK, needle="A bee.", question="What?", depth=2.0)
    small = SimpleNamespace(tokenizer=tokenizer, n_ctx=200)
    with pytest.raises(
        InputError, match=r"the prompt has \d+ tokens, and the model holds 200, 64 of them for the answer; shorten the haystack"
    ):
        niah_in(small, HAYSTACK * 10, depth=0.5, **OWN)
