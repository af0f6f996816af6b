"""Detection equals countings written anew from the papers, on attentions of plain Hugging Face models that share values and that do not."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

from mechdyn.decoding.sources import texts_in_place
from mechdyn.decoding.trace import trace
from mechdyn.models.load import wrap_model
from mechdyn.scores.prompt import get_prompt_score
from mechdyn.scores.score import as_score
from mechdyn.studies.detection import Expectation, as_detector, asked_of, count_trace, drop_counts, head_scores, is_stable
from mechdyn.studies.question_rows import read_documents
from mechdyn.tasks.documents import asked_documents, document_spans
from mechdyn.tasks.niah import niah
from mechdyn.tasks.own import sample as own
from mechdyn.tasks.sample import Sample
from tests.architectures import LIVE, tiny_model
from tests.bundled import mini_tokenizer

N_NEW = 12


@pytest.fixture(scope="module", params=["llama3.1", "llama2"])
def pair(request):
    plain = tiny_model(request.param, seed=5, few_words=True)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name=request.param)
    plain.set_attn_implementation("eager")
    return plain, wrapped


def needle_of(seed, length=36, n_needle=10):
    """A prompt of few words, so that heads copy by chance, and a needle in it that holds some of them twice."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(LIVE.start, LIVE.stop, (length,), generator=generator)
    needle = torch.arange(8, 8 + n_needle)
    return Sample("niah", "needle", tokens, ((0, 6),), needle, (0, 6), "?", "!", {"length": length, "depth": 0.5})


def attended(plain, wrapped, sample):
    """The greedy tokens, and each step's eager attention rows `[layer][head][key]` with the tokens that they run over."""
    tokens, steps = sample.tokens, []
    for _ in range(N_NEW):
        with torch.no_grad():
            output = plain(tokens[None], output_attentions=True)
        predicted = int(output.logits[0, -1].argmax())
        if predicted in wrapped.eos_ids:
            break
        steps.append(([attention[0, :, -1].double().tolist() for attention in output.attentions], tokens.tolist(), predicted))
        tokens = torch.cat([tokens, torch.tensor([predicted])])
    return steps


def counted_anew(method, steps, needle, n_answer):
    """A sample's score of every head by the published loops."""
    start, end = needle[0], needle[-1] + 1
    n_layers, n_heads = len(steps[0][0]), len(steps[0][0][0])
    scores = [[0.0] * n_heads for _ in range(n_layers)]
    for index, (rows, tokens, inp) in enumerate(steps):
        if method == "r2" and index >= n_answer:
            break
        for layer in range(n_layers):
            for head in range(n_heads):
                row = rows[layer][head]
                if method == "wu":
                    i = max(range(len(row)), key=row.__getitem__)
                    if start <= i < end and inp == tokens[i]:
                        scores[layer][head] += 1 / (end - start)
                elif method == "mass":
                    for i in range(start, end):
                        if inp == tokens[i]:
                            scores[layer][head] += sum(row[start:end])
                else:
                    for i in sorted(range(len(row)), key=lambda i: -row[i])[: end - start]:
                        if start <= i < end:
                            scores[layer][head] += row[i] / (end - start)
    return np.array(scores).ravel()


@pytest.mark.parametrize("method", ["wu", "mass", "r2"])
def test_a_sample_counts_as_the_published_loops_count_it(pair, method):
    plain, wrapped = pair
    seen = 0
    for seed in range(4):
        sample = needle_of(seed)
        found = trace(wrapped, sample, score=method, max_new_tokens=N_NEW)
        steps = attended(plain, wrapped, sample)
        assert found.tokens.tolist() == [predicted for *_, predicted in steps]
        # Texts that pass every gate, and no line break.
        words = ["word"] * found.n_steps
        asked = Expectation(sample.key, "".join(words), "".join(words), 10, 4, (36, 0.5))
        counted = count_trace(replace(found, text="".join(words)), asked, as_score(method).counting, words)
        assert counted.count == 1.0 and not counted.dropped
        wanted = counted_anew(method, steps, sample.needle_positions.tolist(), n_answer=4)
        np.testing.assert_allclose(counted.sums, wanted, atol=1e-5)
        seen += bool(wanted.any())
    assert seen > 1


def test_repeats_of_a_copy_count_again_in_wu():
    plain = tiny_model("llama2", seed=5, few_words=True)
    wrapped = wrap_model(copy.deepcopy(plain), mini_tokenizer(), name="tiny")
    best = 0.0
    for seed in range(30):
        sample = needle_of(seed, n_needle=2)
        found = trace(wrapped, sample, score="wu", max_new_tokens=N_NEW)
        asked = Expectation(sample.key, "word", "word", 2, 1, (36, 0.5))
        best = max(best, count_trace(found, asked, as_score("wu").counting, ["word "] * found.n_steps).sums.max())
    assert best > 1


@pytest.fixture(scope="module")
def said():
    """A trace of 5 steps of 2 x 2 heads whose scores are 1, 2, 4, 8, 16, whatever the text."""
    wrapped = wrap_model(tiny_model("llama2", seed=5, few_words=True), mini_tokenizer(), name="tiny")
    made = trace(wrapped, needle_of(0), max_new_tokens=5)
    scores = 2.0 ** torch.arange(5)[:, None, None].expand(5, 2, 2)
    return lambda text, **changes: replace(made, retrieval_scores=scores, text=text, answer="9 f", task="niah", **changes)


PIECES = ("It is", " 9", " f", "\n", "more")
ASKED = Expectation("key", "The word is 9 f", "9 f", 7, 2, (36, 0.5))


@pytest.mark.parametrize(
    ("score", "sums", "count"),
    [("copy_paste", 31.0, 5.0), ("wu", 15.0, 1.0), ("mass", 15.0, 1.0), ("locos", 3.0, 1.0), ("r2", 31.0, 1.0)],
)
def test_which_steps_count(said, score, sums, count):
    """All; those up to and with the line break; those that write the answer; as many as what was answered has tokens (here the needle)."""
    found = count_trace(said("".join(PIECES)), ASKED, as_score(score).counting, PIECES)
    assert (found.dropped, found.sums.tolist(), found.count) == ("", [sums] * 4, count)


def test_the_steps_of_r2_are_as_many_as_a_bare_answer_has_tokens(said):
    pieces = ("9", " f", "", "", "")
    assert count_trace(said("9 f"), ASKED, as_score("r2").counting, pieces).sums.tolist() == [3.0] * 4


def test_why_a_sample_is_dropped(said):
    def why(score, pieces, text=None, **changes):
        return count_trace(said(text or "".join(pieces), **changes), ASKED, as_score(score).counting, pieces).dropped

    nothing = ("no", " idea", " at", " all", ".")
    assert why("copy_paste", nothing) == "the answer is wrong, as the task counts it"
    assert why("wu", nothing) == "ROUGE-1 recall of the needle is not above 0.5"
    assert why("locos", nothing) == "ROUGE-1 recall of the answer is not above 0.5"
    assert why("r2", nothing) == "F1 with answer and needle is not above 0.5"
    assert why("wu", ("no", "\n", "It is", " 9", " f")) == "ROUGE-1 recall of the needle is not above 0.5"
    assert why("locos", ("f", " and", " 9", ".", "")) == "the expected answer is not in the text, so no step writes it"
    assert why("wu", PIECES, stopped="error") == "the generation failed (NaN or infinite logits)"


def test_the_gate_of_wu_is_stemmed_recall(said):
    asked = Expectation("key", "eating sandwiches and sits in the park", "x", 7, 2, (36, 0.5))
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    for text in ("eat a sandwich, sit there", "eat sandwich sitting", "eating sandwiches and sit", "the park and parks", "in in in the"):
        pieces = (*text.split(" ")[:4], " ".join(text.split(" ")[4:]))
        recall = scorer.score(asked.needle, " ".join(pieces))["rouge1"].recall
        found = count_trace(said(text), asked, as_score("wu").counting, tuple(f" {piece}" for piece in pieces))
        assert bool(found.dropped) == (recall <= 0.5)


def test_pieces_of_a_generation_read_as_its_text(pair):
    found = trace(pair[1], needle_of(1), max_new_tokens=N_NEW)
    assert "".join(texts_in_place(mini_tokenizer(), found.tokens.tolist())) == found.text


def qr_anew(plain, prompt, null, spans, needles, question_start):
    """QRHead's document scores by head from whole eager attentions, tokens by their characters; and which documents are gold."""
    tokenizer = mini_tokenizer()
    maps = []
    for text in (prompt, null):
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        start = min(i for i, (first, last) in enumerate(encoded["offset_mapping"]) if first >= question_start and last > first)
        with torch.no_grad():
            attentions = plain(torch.tensor([encoded["input_ids"]]), output_attentions=True).attentions
        maps.append((torch.stack(attentions)[:, 0, :, start:].mean(dim=2).double(), encoded["offset_mapping"]))
    shortest = min(each.shape[-1] for each, _ in maps)
    c = maps[0][0][..., :shortest] - maps[1][0][..., :shortest]
    scores, gold = [], []
    for first, last in spans:
        places = [i for i, (start, end) in enumerate(maps[0][1]) if start < last and first < end]
        tokens = c[..., places[0] : places[-1] + 1]
        cut = tokens > tokens.mean(-1, keepdim=True) - 2 * tokens.std(-1, keepdim=True)
        scores.append((tokens * cut).sum(-1))
        gold.append(any(start < last and first < end for start, end in needles))
    return torch.stack(scores, dim=-1), gold


def test_qrhead_is_that_of_whole_attentions(pair):
    plain, wrapped = pair
    sample = niah(mini_tokenizer(), length=220, depth=0.5)
    null = re.sub(re.escape(sample.question) + r"(?!.*\?)", "N/A", sample.prompt, flags=re.DOTALL)
    spans = document_spans(sample)
    wanted, gold = qr_anew(plain, sample.prompt, null, spans, sample.needle_spans, sample.context_span[1])
    asked = asked_documents(wrapped, sample)
    found = read_documents(wrapped, asked)
    assert asked.gold.tolist() == gold
    torch.testing.assert_close(found.double(), wanted, atol=2e-5, rtol=0)
    lme = get_prompt_score("qr").score(found, asked.gold)
    torch.testing.assert_close(lme.double(), wanted[..., gold.index(True)], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["qr", "qr-ndcg"])
def test_with_the_null_question_every_score_is_0(pair, name):
    sample = own(
        mini_tokenizer(), context="The gate is blue. The key is 9. It rained.", question="N/A", spans=["The key is 9."], answer="9"
    )
    asked = asked_documents(pair[1], sample)
    assert torch.equal(asked.tokens, asked.null_tokens)
    assert not get_prompt_score(name).score(read_documents(pair[1], asked), asked.gold).any()


def test_samples_of_one_needle_are_one_needle():
    one, other = (asked_of(niah(mini_tokenizer(), length=200, depth=depth, seed=seed), 20) for depth, seed in ((0.1, 1), (0.9, 2)))
    again = asked_of(niah(mini_tokenizer(), length=200, depth=0.9, seed=5, needle_seed=1), 20)
    assert one.needle_key == again.needle_key != other.needle_key
    assert one.needle.startswith("The magic word is") and one.cell == (200, 0.1)


def test_a_list_needs_needles_to_be_stable(said):
    counting = as_score("copy_paste").counting
    found = [count_trace(said("9 f"), Expectation(str(i), str(i), "9 f", 1, 1, (1, 0.0)), counting, PIECES) for i in range(12)]
    assert is_stable(head_scores(found, 2, 2), 2)
    assert not is_stable(head_scores(found[:9], 2, 2), 2)
    assert head_scores([count_trace(said("no"), ASKED, counting, PIECES)], 2, 2) is None
    dropped = count_trace(said("no"), ASKED, counting, PIECES)
    assert drop_counts([*found, dropped]) == {"the answer is wrong, as the task counts it": 1}


def test_detectors_by_name():
    assert as_detector("qr").counting is None and as_detector("reasoning:sink=2").counting.accept == "task"
    assert as_detector("copy_paste").statistic == "mean copy_paste score over the steps of correct samples"
    assert as_detector("locos").name == "locos"
