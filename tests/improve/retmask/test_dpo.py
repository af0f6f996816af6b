"""TRL trains on what the two models said, the prompt masked; a step moves the margin up; a stopped training goes on."""

import copy
import shutil
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from mechdyn.errors import InputError
from mechdyn.improve.retmask import dpo
from mechdyn.improve.retmask.dpo import SETTINGS, DPOSettings, last_checkpoint, make_trainer, quiet_training, train_dpo
from mechdyn.models.load import load_model
from mechdyn.models.registry import MINI_FOLDER
from mechdyn.tasks.niah import niah
from tests.bundled import mini_tokenizer

pytest.importorskip("trl")
TOY = replace(SETTINGS["quick"], batch_size=2, rows=2, epochs=1)


@pytest.fixture(scope="module")
def pairs():
    prompts = [niah(mini_tokenizer(), length=140 + 7 * seed, depth=0.5, seed=seed) for seed in range(4)]
    rejected = ["nothing at all", "aa-bb", "the word", prompts[0].answer]
    rows = zip(prompts, rejected, strict=True)
    return Dataset.from_list([{"prompt": each.prompt, "chosen": each.answer, "rejected": text} for each, text in rows])


def log_prob(hf, prompt, answer):
    """Of the answer and the end behind it, in plain Hugging Face."""
    tokenizer = mini_tokenizer()
    begun, whole = (torch.tensor(tokenizer(text)["input_ids"]) for text in (prompt, prompt + answer + tokenizer.eos_token))
    with torch.inference_mode():
        logits = hf(whole[None]).logits[0]
    return -float(cross_entropy(logits[len(begun) - 1 : -1], whole[len(begun) :], reduction="sum"))


def margins(hf, pairs):
    return torch.tensor([log_prob(hf, row["prompt"], row["chosen"]) - log_prob(hf, row["prompt"], row["rejected"]) for row in pairs])


@pytest.fixture(scope="module")
def plain():
    return AutoModelForCausalLM.from_pretrained(MINI_FOLDER, dtype=torch.float32)


def test_a_batch_holds_what_was_said_and_its_loss_leaves_the_prompt_out(pairs, plain, tmp_path):
    with quiet_training():
        trainer, tokenizer = make_trainer("mini", pairs, TOY, tmp_path / "checkpoints")
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(4)])
    answered = [ids[mask.bool()] for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)]
    said = [*pairs[:]["chosen"], *pairs[:]["rejected"]]
    assert [tokenizer.decode(ids) for ids in answered] == [text + tokenizer.eos_token for text in said]
    asked = [ids[: int(mask.argmax())] for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)]
    assert [tokenizer.decode(ids) for ids in asked] == 2 * pairs[:]["prompt"]
    expected = [log_prob(plain, row["prompt"], row[side]) for side in ("chosen", "rejected") for row in pairs]
    found = [trainer.train_dataset[index][f"ref_{side}_logps"] for side in ("chosen", "rejected") for index in range(4)]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=1e-3, rtol=1e-4)
    loss = trainer.compute_loss(trainer.model, dict(batch))
    assert float(loss) == pytest.approx(0.693147, abs=1e-4), "the reference is the model itself, so the margin begins at 0"


def test_one_step_moves_the_margin_up(pairs, plain, tmp_path):
    toy = pairs.select(range(2))
    trained = train_dpo("mini", toy, TOY, tmp_path / "trained")
    hf = AutoModelForCausalLM.from_pretrained(trained.folder)
    assert bool((margins(hf, toy) > margins(plain, toy) + 0.05).all())
    assert load_model(trained.folder).eos_ids == load_model("mini").eos_ids
    assert not (tmp_path / "trained.checkpoints").exists()
    with pytest.raises(InputError, match="exists already; name a new folder"):
        train_dpo("mini", toy, TOY, tmp_path / "trained")


def test_an_adapter_is_merged_into_a_plain_checkpoint(pairs, plain, tmp_path):
    toy = pairs.select(range(2))
    settings = replace(TOY, lora_rank=4, epochs=3, learning_rate=1e-3, final_rate=1e-4)
    hf = AutoModelForCausalLM.from_pretrained(train_dpo("mini", toy, settings, tmp_path / "trained").folder)
    assert {name for name, _ in hf.named_parameters()} == {name for name, _ in plain.named_parameters()}
    assert bool((margins(hf, toy) > margins(plain, toy)).all())
    moved = [name for name, each in hf.named_parameters() if not torch.equal(each, plain.get_parameter(name))]
    assert moved and all("proj" in name for name in moved), "norms and embeddings have no adapter"


def test_a_stopped_training_goes_on_to_the_same_model(pairs, tmp_path, monkeypatch):
    settings = replace(TOY, epochs=2, saves=4)
    expected = AutoModelForCausalLM.from_pretrained(train_dpo("mini", pairs, settings, tmp_path / "whole").folder)
    kept = tmp_path / "kept"

    def stop(folder):
        shutil.copytree(tmp_path / "stopped.checkpoints", kept)
        raise KeyboardInterrupt

    monkeypatch.setattr(dpo, "new_folder", stop)
    with pytest.raises(KeyboardInterrupt):
        train_dpo("mini", pairs, settings, tmp_path / "stopped")
    monkeypatch.undo()
    assert last_checkpoint(kept).endswith("checkpoint-4")
    found = AutoModelForCausalLM.from_pretrained(train_dpo("mini", pairs, settings, tmp_path / "stopped").folder)
    for name, each in found.named_parameters():
        torch.testing.assert_close(each, expected.get_parameter(name), atol=1e-6, rtol=1e-5)


def test_published_settings_are_the_default():
    paper = copy.copy(SETTINGS["paper"])
    assert (paper.learning_rate, paper.final_rate, paper.warmup, paper.weight_decay) == (5e-7, 5e-8, 0.1, 0.1)
    assert (paper.epochs, paper.batch_size, paper.beta, paper.lora_rank) == (2, 512, 0.1, None)
    for options in ({"epochs": 0}, {"final_rate": 1.0}, {"lora_rank": 0}):
        with pytest.raises(InputError):
            DPOSettings(**options)


def test_a_missing_extra_names_the_pip_line(pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "trl", None)
    with pytest.raises(InputError, match=r"pip install 'mechdyn\[train\]'"):
        train_dpo("mini", pairs, TOY, tmp_path / "trained")
