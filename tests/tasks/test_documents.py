"""Any task's sample as documents and a question: paragraphs or sentences, gold where the needle is, the question's rows to the end."""

import pytest
import torch

from mechdyn.errors import InputError
from mechdyn.tasks.documents import asked_documents, document_spans
from mechdyn.tasks.niah import niah
from mechdyn.tasks.own import sample as own
from mechdyn.tasks.world import world
from tests.bundled import mini_tokenizer


def text_of(tokens):
    return mini_tokenizer().decode(tokens)


def test_a_haystacks_documents_are_its_sentences():
    sample = niah(mini_tokenizer(), length=260, depth=0.5)
    texts = [sample.prompt[start:end] for start, end in document_spans(sample)]
    found = asked_documents(mini_tokenizer(), sample)
    (gold,) = found.gold.nonzero().flatten().tolist()
    assert texts[gold] == f"The magic word is {sample.answer}."
    assert " ".join(texts) == " ".join(sample.prompt[slice(*sample.context_span)].split())
    start, end = found.documents[gold]
    assert set(range(start, end)) == set(sample.needle_positions.tolist())


def test_paragraphs_are_the_documents_of_questions():
    sample = world(mini_tokenizer(), length=400)
    found = asked_documents(mini_tokenizer(), sample)
    context = sample.meta["context"]
    assert len(found.documents) == len(context)
    titles = {title for title, _ in sample.meta["facts"]}
    assert [bool(gold) for gold in found.gold] == [title in titles for title, _ in context]
    for (start, end), (title, sentences) in zip(found.documents, context, strict=True):
        text = text_of(found.tokens[start:end]).strip()
        assert text.startswith(title) and text.endswith(sentences[-1])


@pytest.mark.parametrize("make", [lambda: niah(mini_tokenizer(), length=260, depth=0.2), lambda: world(mini_tokenizer(), length=300)])
def test_the_questions_rows_begin_behind_the_context_in_both_prompts(make):
    sample = make()
    found = asked_documents(mini_tokenizer(), sample)
    assert torch.equal(found.tokens[: found.start], found.null_tokens[: found.start])
    assert sample.question in text_of(found.tokens[found.start :]) and "N/A" not in text_of(found.tokens)
    assert "N/A" in text_of(found.null_tokens[found.start :]) and sample.question not in text_of(found.null_tokens[found.start :])
    assert max(end for _, end in found.documents) <= found.start


def test_what_cannot_be_ranked_is_one_line():
    tokenizer = mini_tokenizer()
    with pytest.raises(InputError, match="this sample has no question behind its context"):
        asked_documents(tokenizer, own(tokenizer, prompt="One. Two. Three.", spans=["Two."], answer="2"))
    with pytest.raises(InputError, match="documents are ranked, and this sample has 1, 1 with a needle"):
        asked_documents(tokenizer, own(tokenizer, context="One.", question="What?", spans=["One."], answer="1"))
    with pytest.raises(InputError, match="documents are ranked, and this sample has 2, 0 with a needle"):
        asked_documents(tokenizer, own(tokenizer, context="One. Two.", question="What?", answer="1"))
