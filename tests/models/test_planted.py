"""The controls do what their construction says, seen through plain Hugging Face eager attentions and `o_proj` inputs."""

import random
from collections import Counter
from contextlib import contextmanager
from functools import cache
from itertools import combinations, pairwise

import pytest
import torch

from mechdyn.errors import InputError, UnsupportedModelError
from mechdyn.heads import Head, HeadSet
from mechdyn.models.planted.codes import MAX_COSINE, N_CODES, token_codes
from mechdyn.models.planted.design import KINDS, n_layers, planted_heads, planted_kind
from mechdyn.models.planted.model import build_planted, planted_tokenizer
from mechdyn.tasks.niah import niah, random_uuid
from tests.bundled import mini_tokenizer

N_HEADS, D_HEAD = 16, 128


@cache
def control(kind, implementation="eager"):
    model = build_planted(kind, mini_tokenizer())
    model.set_attn_implementation(implementation)
    return model


@cache
def tokenizer():
    return planted_tokenizer(mini_tokenizer())


def sample_of(seed, length=256, **options):
    return niah(tokenizer(), length=length, depth=(seed % 11) / 10, seed=seed, **options)


def copied_tokens(sample):
    """The UUID's tokens, as the model must copy them."""
    return tokenizer().encode(sample.answer, add_special_tokens=False)


@contextmanager
def heads_off(model, heads):
    """Zero the heads' slices of the `o_proj` input at the last position of every forward inside."""

    def hook(layer):
        def zero(_, inputs):
            z = inputs[0].clone()
            for head in heads:
                if head.layer == layer:
                    z[:, -1, head.head * D_HEAD : (head.head + 1) * D_HEAD] = 0.0
            return (z,)

        return zero

    handles = [block.self_attn.o_proj.register_forward_pre_hook(hook(layer)) for layer, block in enumerate(model.model.layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def generate(model, sample, ablate=lambda step: ()):
    """Greedy tokens and the head sets of Eq. 1; `ablate` says which heads to switch off at a step."""
    tokens, sets, needle = sample.tokens.tolist(), [], set(sample.needle_positions.tolist())
    with torch.no_grad():
        cache = model(sample.tokens[None, :-1], use_cache=True, logits_to_keep=1).past_key_values
        for step in range(40):
            with heads_off(model, ablate(step)):
                output = model(torch.tensor([tokens[-1:]]), past_key_values=cache, output_attentions=True)
            predicted = int(output.logits[0, -1].argmax())
            hits = []
            for layer, attention in enumerate(output.attentions):
                for head, row in enumerate(attention[0, :, -1].tolist()):
                    strongest = row.index(max(row))
                    if strongest in needle and tokens[strongest] == predicted:
                        hits.append((layer, head))
            tokens.append(predicted)
            sets.append(HeadSet.of(hits, len(output.attentions), N_HEADS))
            if predicted == mini_tokenizer().eos_token_id:
                break
    return tokens[len(sample) :], sets


def planted_sets(kind, tokens):
    """The planted heads at each step of an answer."""
    return [planted_heads(kind, token, tokenizer(), step) for step, token in enumerate(tokens)]


def answer(model, sample, ablate=lambda step: ()):
    return tokenizer().decode(generate(model, sample, ablate)[0], skip_special_tokens=True)


def test_vectors_of_two_tokens_are_never_close():
    codes = token_codes(N_CODES)
    cosines = codes @ codes.T / codes.shape[1]
    cosines.fill_diagonal_(-1.0)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    assert float(cosines.max()) == MAX_COSINE


def test_a_token_of_the_dynamic_control_has_four_heads_and_two_tokens_share_at_most_two():
    sets = {planted_heads("dynamic", token, mini_tokenizer()).heads for token in range(len(mini_tokenizer()))}
    assert len(sets) == 13
    assert all(len(heads) == 4 for heads in sets)
    assert all(len(one & other) <= 2 for one, other in combinations(sets, 2))


def test_the_static_control_has_the_same_six_heads_for_every_token():
    sets = {planted_heads("static", token, mini_tokenizer()).heads for token in range(len(mini_tokenizer()))}
    assert [len(heads) for heads in sets] == [6]


def test_the_nested_control_has_the_first_of_a_fixed_order():
    sets = {planted_heads("nested", token, mini_tokenizer()).heads for token in range(len(mini_tokenizer()))}
    assert sorted(map(len, sets)) == [1, 4, 16]
    assert all(smaller < larger for smaller, larger in pairwise(sorted(sets, key=len)))


def test_the_step_control_has_the_dynamic_sets_whatever_the_token():
    dynamic = {planted_heads("dynamic", token, mini_tokenizer()).heads for token in range(len(mini_tokenizer()))}
    places = [[planted_heads("step", token, mini_tokenizer(), step) for step in range(30)] for token in (5, 300)]
    assert places[0] == places[1] and places[0][:13] == places[0][13:26]
    assert {frozenset((layer - 2, head) for layer, head in heads) for heads in places[0]} == dynamic


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_heads_is_as_planted_whatever_was_generated(kind):
    """Two needles that differ in every token, and one of them twice: what decides is the token in three kinds, the step in one."""
    first, second = sample_of(1300), sample_of(1301)
    (tokens, sets), (others, other_sets) = (generate(control(kind), sample) for sample in (first, second))
    at_step = [one == other for one, other in zip(sets, other_sets, strict=False)][:20]
    assert all(at_step) is (kind in ("static", "step"))
    by_token = {}
    for token, heads in zip(tokens[:-1] + others[:-1], sets[:-1] + other_sets[:-1], strict=True):
        by_token.setdefault(token, set()).add(heads)
    assert all(len(found) == 1 for found in by_token.values()) is (kind != "step")


def test_no_short_list_of_the_most_frequent_heads_serves_a_token_alone():
    rng = random.Random(5)
    tokens = Counter(token for _ in range(300) for token in tokenizer().encode(random_uuid(rng), add_special_tokens=False))
    sets = {token: planted_heads("dynamic", token, tokenizer()).heads for token in tokens}
    counts = Counter()
    for token, n in tokens.items():
        counts.update({head: n for head in sets[token]})
    for k in range(1, 5):
        top = {head for head, _ in counts.most_common(k)}
        assert not any(heads <= top for heads in sets.values())


@pytest.mark.parametrize("kind", KINDS)
def test_building_is_deterministic_and_leaves_the_random_state_alone(kind):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, other = build_planted(kind, mini_tokenizer()), build_planted(kind, tokenizer())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert one.dtype == torch.float32


def test_the_tokenizer_is_a_copy_whose_prompt_ends_as_the_needle_begins():
    before = mini_tokenizer().chat_template
    sample = sample_of(1)
    assert mini_tokenizer().chat_template == before
    assert planted_tokenizer(tokenizer()).chat_template == tokenizer().chat_template
    assert sample.prompt.endswith("The magic word is ")
    needle = sample.tokens[sample.needle_positions].tolist()
    start = len(needle) - len(copied_tokens(sample)) - 1
    assert needle[start:-1] == copied_tokens(sample)
    assert needle[start - 3 : start] == sample.tokens[-3:].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_the_uuid_and_nothing_else(kind):
    for seed in range(100, 103):
        sample = sample_of(seed, length=128 * 2 ** (seed % 3))
        tokens, _ = generate(control(kind), sample)
        assert tokens == [*copied_tokens(sample), mini_tokenizer().eos_token_id]


@pytest.mark.parametrize("kind", KINDS)
def test_retrieval_heads_are_the_planted_ones_at_every_step_and_in_any_haystack(kind):
    for haystack_seed in (201, 202):
        sample = sample_of(haystack_seed, needle_seed=200)
        _, sets = generate(control(kind), sample)
        assert sets[:-1] == planted_sets(kind, copied_tokens(sample))
        assert len(sets[-1]) == 0


def test_heads_change_from_token_to_token():
    jaccards = []
    for seed in range(300, 310):
        tokens = copied_tokens(sample_of(seed))
        sets = [planted_heads("dynamic", token, tokenizer()) for token in tokens]
        jaccards += [one.jaccard(other) for one, other in pairwise(sets)]
    assert sum(jaccards) / len(jaccards) < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_tokens_heads_there_is_no_answer(kind):
    sample = sample_of(400)
    copied = copied_tokens(sample)
    for step in (0, len(copied) // 2, len(copied) - 1):
        heads = planted_sets(kind, copied)[step]
        assert sample.answer not in answer(control(kind), sample, lambda now, at=step, off=heads: off if now == at else ())


@pytest.mark.parametrize("kind", KINDS)
def test_any_one_of_a_tokens_heads_suffices(kind):
    rng = random.Random(7)
    for seed in range(500, 502):
        sample = sample_of(seed)
        copied = [*copied_tokens(sample), mini_tokenizer().eos_token_id]

        def all_but_one(step, copied=copied):
            heads = sorted(planted_heads(kind, copied[step], tokenizer(), step))
            return rng.sample(heads, len(heads) - 1)

        assert answer(control(kind), sample, all_but_one) == sample.answer


def test_any_four_static_heads_leave_the_dynamic_control_its_answer():
    """Four of layer 0, the most frequent of layer 1, and fresh random ones at every step."""
    rng = random.Random(11)
    counts = Counter()
    for seed in range(600, 620):
        for token in copied_tokens(sample_of(seed)):
            counts.update(planted_heads("dynamic", token, tokenizer()).heads)
    top = [head for head, _ in counts.most_common(4)]
    every = [Head(layer, head) for layer in range(n_layers("dynamic")) for head in range(N_HEADS)]
    model = control("dynamic")
    for seed in range(600, 602):
        sample = sample_of(seed)
        first_layer = rng.sample(every[:N_HEADS], 4)
        assert answer(model, sample, lambda step: top) == sample.answer
        assert answer(model, sample, lambda step, off=first_layer: off) == sample.answer
        assert answer(model, sample, lambda step: rng.sample(every, 4)) == sample.answer


@pytest.mark.parametrize("offset_heads", [range(4), range(7, 11)])
def test_four_heads_of_one_offset_may_be_lost(offset_heads):
    """The hardest four: all look back by the same offset."""
    sample = sample_of(700)
    off = [Head(0, head) for head in offset_heads]
    tokens, sets = generate(control("dynamic"), sample, lambda step: off)
    assert tokens[:-1] == copied_tokens(sample)
    assert sets[:-1] == [planted_heads("dynamic", token, tokenizer()) for token in tokens[:-1]]


@pytest.mark.parametrize("kind", KINDS)
def test_eager_and_sdpa_agree(kind):
    sample = sample_of(800)
    with torch.no_grad():
        eager, sdpa = (control(kind, name)(sample.tokens[None]).logits for name in ("eager", "sdpa"))
    torch.testing.assert_close(eager, sdpa, atol=1e-3, rtol=1e-4)


def test_a_prompt_of_4096_tokens():
    model, sample = control("dynamic", "sdpa"), niah(tokenizer(), length=4096, depth=0.0, seed=900)
    output = model.generate(sample.tokens[None], attention_mask=torch.ones(1, len(sample)), max_new_tokens=40)
    assert tokenizer().decode(output[0, len(sample) :], skip_special_tokens=True) == sample.answer


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_copies_the_same_tokens_with_the_same_heads(kind):
    model = build_planted(kind, mini_tokenizer()).to(torch.bfloat16)
    model.set_attn_implementation("eager")
    sample = sample_of(1000)
    tokens, sets = generate(model, sample)
    assert tokens[:-1] == copied_tokens(sample)
    assert sets[:-1] == planted_sets(kind, tokens[:-1])


def test_an_unknown_control_is_named():
    assert planted_kind("planted-step") == "step"
    with pytest.raises(InputError, match="one of planted-static, planted-nested, planted-dynamic, planted-step, got 'planted-moving'"):
        planted_kind("planted-moving")


def test_a_foreign_tokenizer_is_refused():
    larger = planted_tokenizer(mini_tokenizer())
    larger.add_tokens(["<|one|>", "<|more|>"])
    with pytest.raises(UnsupportedModelError, match=r"vectors for 2048 tokens, the tokenizer has 2050; use the bundled tokenizer"):
        build_planted("static", larger)
    bare = planted_tokenizer(mini_tokenizer())
    bare.chat_template = None
    with pytest.raises(UnsupportedModelError, match="has none; use the bundled tokenizer"):
        planted_tokenizer(bare)
