"""The recipe of the bundled model: its rows say what they should, and a run is the same whether or not it was stopped."""

import random
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from experiments.train_mini.__main__ import export
from experiments.train_mini.config import Round, Stage, TrainConfig
from experiments.train_mini.data import RowMaker, _chat
from experiments.train_mini.texts import held_out_file, natural_texts
from experiments.train_mini.train import _head_keep, end_of_round, train_worker
from mechdyn.decoding.trace import trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.models.registry import MINI_FOLDER
from mechdyn.tasks.niah import INSTRUCTION, QUESTION, SYSTEM, niah, random_uuid
from mechdyn.tasks.questions import RATIONALE_INSTRUCTION, context_text
from mechdyn.tasks.world import make_world, world
from tests.bundled import mini_tokenizer
from tests.experiments.small_runs import SECRET, small_config, write_books

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def books(tmp_path_factory) -> Path:
    return write_books(tmp_path_factory.mktemp("prose") / "books")


@pytest.fixture(scope="module")
def all_kinds_config(books) -> TrainConfig:
    """Short rows, where lists are common, and long ones with several questions."""
    return small_config(books, books, stages=(Stage(0, (160, 608), 2432),))


@pytest.fixture(scope="module")
def all_kinds(all_kinds_config) -> RowMaker:
    return RowMaker(all_kinds_config, mini_tokenizer())


def test_hand_written_chat_is_niah_rendered_by_the_template():
    for seed, length in ((0, 200), (1, 333), (2, 600)):
        sample = niah(mini_tokenizer(), length=length, depth=0.4, seed=seed)
        context = sample.prompt[slice(*sample.context_span)]
        text = "".join(piece for piece, _ in _chat([(context, 0.1)], INSTRUCTION, [(QUESTION, sample.answer)]))
        assert text == f"{sample.prompt}{sample.answer}<|end|>"
        assert mini_tokenizer()(text, add_special_tokens=False)["input_ids"][: len(sample)] == sample.tokens.tolist()


def test_hand_written_chat_is_world_rendered_by_the_template():
    sample = world(mini_tokenizer(), length=400, seed=3)
    context = sample.prompt[slice(*sample.context_span)]
    text = "".join(piece for piece, _ in _chat([(context, 0.1)], RATIONALE_INSTRUCTION, [(sample.question, "It is so.")]))
    assert text == f"{sample.prompt}It is so.<|end|>"


def test_later_turns_follow_the_template():
    made = make_world(random.Random(0), 3)
    turns = [(chain.question, chain.rationale) for chain in made.chains]
    text = "".join(piece for piece, _ in _chat([(context_text(made.paragraphs), 0.1)], RATIONALE_INSTRUCTION, turns))
    messages = [{"role": "system", "content": SYSTEM}]
    for index, (question, answer) in enumerate(turns):
        asked = f"Question:\n{question}"
        first = f"Context:\n{context_text(made.paragraphs)}\n\n{asked}\n\nInstruction:\n{RATIONALE_INSTRUCTION}"
        messages += [{"role": "user", "content": first if index == 0 else asked}, {"role": "assistant", "content": answer}]
    assert text == mini_tokenizer().apply_chat_template(messages, tokenize=False)


def test_weight_one_is_on_the_answers_and_their_ends_alone(all_kinds):
    asked = []
    for step in range(8):
        batch = all_kinds.batch(step, 0)
        for tokens, weights in zip(batch.tokens, batch.weights, strict=True):
            text = mini_tokenizer().decode(tokens)
            answers = re.findall(r"<\|assistant\|>(.*?<\|end\|>)", text, re.DOTALL)
            asked.append(len(answers))
            assert mini_tokenizer().decode(tokens[1:][weights == 1.0]) == "".join(answers)
            assert answers
    assert max(asked) > 2


def test_values_in_the_context_and_padding_weigh_nothing_and_the_prose_of_a_row_what_is_stated(all_kinds, all_kinds_config):
    kinds = set()
    for step in range(8):
        batch = all_kinds.batch(step, 0)
        for tokens, weights in zip(batch.tokens, batch.weights, strict=True):
            pieces = [mini_tokenizer().decode([token]) for token in tokens.tolist()]
            text = "".join(pieces)
            # A character weighs what its token does; the first token is never predicted.
            by_character = [weight for piece, weight in zip(pieces, [0.0, *weights.tolist()], strict=True) for _ in piece]
            context, first, rest = text.partition("\n\nQuestion:\n")
            answers = re.findall(r"<\|assistant\|>(.*?)<\|end\|>", first + rest, re.DOTALL)
            hops = RATIONALE_INSTRUCTION in text
            found = [match.span() for answer in answers if not hops for match in re.finditer(re.escape(answer), context)]
            assert hops or len(found) >= len(answers)
            assert all(weight == 0.0 for start, end in found for weight in by_character[start:end])
            prose = {round(weight, 6) for weight in by_character[context.index("Context:\n") + 9 : len(context)]}
            if hops:
                assert prose == {0.02}
            else:
                (weight,) = prose - {0.0}
                room = batch.weights.shape[1]
                assert all_kinds_config.prose_weight / room <= weight + 1e-6 <= 1.5 * all_kinds_config.prose_weight / room
            assert weights[tokens[1:] == mini_tokenizer().pad_token_id].sum() == 0
            kinds.add("hops" if hops else "list" if "What is the list?" in text else "needles")
    assert kinds == {"hops", "list", "needles"}


def test_batches_depend_on_seed_step_and_worker_alone(books):
    config = small_config(books, books)
    ahead, alone = RowMaker(config, mini_tokenizer()), RowMaker(config, mini_tokenizer())
    batches = {(step, worker): ahead.batch(step, worker) for step in (0, 3, 5) for worker in (1, 0)}
    for (step, worker), batch in reversed(batches.items()):
        again = alone.batch(step, worker)
        assert again.tokens.equal(batch.tokens)
        assert again.weights.equal(batch.weights)
    rows = [tuple(row.tolist()) for batch in batches.values() for row in batch.tokens]
    assert len(set(rows)) == len(rows)
    other = RowMaker(small_config(books, books, seed=1), mini_tokenizer()).batch(0, 0)
    assert not other.tokens.equal(batches[0, 0].tokens)


def test_workers_share_the_length_of_a_step_which_is_one_of_the_stage(books):
    config = small_config(books, books)
    rows = RowMaker(config, mini_tokenizer())
    lengths = set()
    for step in range(2, 12):
        first, second = rows.batch(step, 0), rows.batch(step, 1)
        assert first.tokens.shape == second.tokens.shape
        assert first.weights.shape == (first.tokens.shape[0], first.tokens.shape[1] - 1)
        lengths.add(first.weights.shape[1])
    assert lengths == {160, 200}


def test_held_out_book_is_never_trained_on(books, tmp_path):
    config = small_config(tmp_path, books)
    assert SECRET in held_out_file(config).read_text()
    assert not any(SECRET in text for text in natural_texts(config))
    (tmp_path / "walden.txt").write_text("No third book here.")
    with pytest.raises(InputError, match=r"one file of .* must have 'sherlock' in its name"):
        held_out_file(TrainConfig(out=tmp_path, prose=tmp_path))


def test_a_uuid_has_the_same_tokens_in_a_sentence_and_as_an_answer():
    def encode(text: str) -> list[int]:
        return mini_tokenizer()(text, add_special_tokens=False)["input_ids"]

    rng = random.Random(4)
    for _ in range(200):
        value = random_uuid(rng)
        inside, answer = encode(f"The magic word is {value}. A"), encode(f"<|assistant|>{value}<|end|>")[1:-1]
        assert any(inside[at : at + len(answer)] == answer for at in range(len(inside)))
        assert mini_tokenizer().decode(answer) == value


def test_heads_are_dropped_from_the_stated_step_on_and_never_more_than_stated(books):
    config = small_config(books, books, n_heads=50)
    assert all(_head_keep(config, step, 0, 8).all() for step in range(config.head_dropout_from))
    kept = torch.cat([_head_keep(config, step, 0, 8) for step in range(config.head_dropout_from, 200)], dim=1).float().mean(dim=(0, 2))
    assert kept.mean() == pytest.approx(1 - 0.3 / 2, abs=0.01)
    assert kept.min() > 0.5


def test_learning_rate_warms_up_stays_and_decays_to_nothing(books):
    config = small_config(books, books, steps=100, decay_steps=20, warmup_steps=10)
    factors = [config.learning_rate_factor(step) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert set(factors[10:81]) == {1.0}
    assert factors[80:] == pytest.approx([1 - step / 20 for step in range(20)])


def test_each_round_warms_up_and_decays_and_those_beyond_the_end_are_left_out(books):
    config = small_config(books, books, steps=100, decay_steps=20, warmup_steps=10, peak=0.5, earlier_rounds=(Round(60, 30), Round(100, 5)))
    factors = [config.learning_rate_factor(step) for step in range(100)]
    assert factors[30:60] == pytest.approx([1 - step / 30 for step in range(30)])
    assert factors[60:70] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert set(factors[70:81]) == {0.5} and factors[99] == pytest.approx(0.025)


def test_the_mix_of_rows_is_the_stages(books):
    """All two-hop rows from step 3 on, none before."""
    stages = (Stage(0, (608,), 2432, mix=(1.0, 0.0, 0.0)), Stage(3, (608,), 2432, mix=(0.0, 1.0, 0.0)))
    config = small_config(books, books, stages=stages)
    maker, tokenizer = RowMaker(config, mini_tokenizer()), mini_tokenizer()
    asks = [[RATIONALE_INSTRUCTION in tokenizer.decode(row) for row in maker.batch(step, 0).tokens] for step in (2, 3)]
    assert not any(asks[0]) and all(asks[1])


def test_an_interrupted_run_ends_with_the_same_bits(books, tmp_path, monkeypatch):
    whole, stopped = (small_config(tmp_path / name, books) for name in ("whole", "stopped"))
    whole.out.mkdir()
    stopped.out.mkdir()
    train_worker(0, whole, mini_tokenizer())
    make_batch = RowMaker.batch

    def batch_until_interrupted(self: RowMaker, step: int, worker: int):
        if step == 4:
            raise KeyboardInterrupt
        return make_batch(self, step, worker)

    monkeypatch.setattr(RowMaker, "batch", batch_until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_worker(0, stopped, mini_tokenizer())
    monkeypatch.undo()
    assert torch.load(stopped.out / "checkpoint.pt")["step"] == 3
    train_worker(0, stopped, mini_tokenizer())
    expected, found = (torch.load(config.out / "checkpoint.pt") for config in (whole, stopped))
    assert expected["step"] == found["step"] == 6
    assert expected["model"].keys() == found["model"].keys()
    assert all(weight.equal(found["model"][name]) for name, weight in expected["model"].items())


@pytest.fixture(scope="module")
def exported(books, tmp_path_factory) -> tuple[TrainConfig, Path]:
    config = small_config(tmp_path_factory.mktemp("run"), books, steps=1, checkpoint_every=1)
    train_worker(0, config, mini_tokenizer())
    return config, export(config, mini_tokenizer())


def test_the_exported_folder_loads_and_answers(exported):
    _, folder = exported
    model = load_model(folder)
    assert (model.n_layers, model.n_heads, model.d_model, model.n_ctx) == (2, 4, 32, 384)
    assert model.eos_ids == (mini_tokenizer().eos_token_id,)
    result = trace(model, niah(model, length=200, depth=0.5), max_new_tokens=3)
    assert result.retrieval_scores.shape[1:] == (2, 4)


def test_the_exported_weights_are_the_checkpoint_in_bf16(exported):
    config, folder = exported
    weights = torch.load(config.out / "checkpoint.pt")["model"]
    saved = load_file(folder / "model.safetensors")
    assert weights.keys() - saved.keys() <= {"lm_head.weight"}  # tied to the embeddings
    assert all(tensor.equal(weights[name].bfloat16()) for name, tensor in saved.items())


def test_everyone_may_read_what_was_exported(exported):
    _, folder = exported
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}


def test_the_exported_tokenizer_is_the_one_that_was_trained_with(exported):
    _, folder = exported
    tokenizer, text = AutoTokenizer.from_pretrained(folder), niah(mini_tokenizer(), length=300, depth=0.5).prompt
    assert tokenizer(text)["input_ids"] == mini_tokenizer()(text)["input_ids"]
    assert tokenizer.chat_template == mini_tokenizer().chat_template


def test_the_bundled_model_stays_small():
    assert sum(file.stat().st_size for file in MINI_FOLDER.iterdir()) <= 15e6


def test_the_model_is_the_mean_of_the_ends_of_its_last_rounds(books, tmp_path):
    config = small_config(tmp_path, books, steps=6, earlier_rounds=(Round(2, 1), Round(4, 1)), averaged_rounds=2)
    train_worker(0, config, mini_tokenizer())
    ends = {step: torch.load(end_of_round(config, step), weights_only=True) for step in (2, 4, 6)}
    written = load_file(export(config, mini_tokenizer()) / "model.safetensors")
    for name, weight in written.items():
        assert torch.equal(weight, ((ends[4][name] + ends[6][name]) / 2).bfloat16()), name
    assert not all(torch.equal(ends[4][name], ends[6][name]) for name in written)
