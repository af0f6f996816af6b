"""RetMask's third stage: TRL's DPO trainer on the pairs, of all weights or of a LoRA adapter (peft) that is merged at the end.

TRL and peft are the extra `train`; nothing else imports them.
"""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mechdyn.errors import InputError
from mechdyn.improve.new_folder import new_folder
from mechdyn.models.load import load_checkpoint, quiet

if TYPE_CHECKING:
    from datasets import Dataset

CHECKPOINTS = "checkpoints"
"""Beside the trained model, while it is not finished."""


@dataclass(frozen=True)
class DPOSettings:
    """How the trainer is run; the defaults are the published ones (β is TRL's own).

    The rate rises over the first `warmup` of all steps, then falls along half a cosine to `final_rate`.

    Attributes:
        beta: how strongly the reference model holds.
        learning_rate: the highest, of AdamW.
        final_rate: the last.
        warmup: share of the steps, 0 to 1.
        weight_decay: of AdamW.
        epochs: how often each pair is seen.
        batch_size: pairs a step.
        rows: pairs that are run at once; the others of a step follow, their gradients added.
        lora_rank: of an adapter on all linear layers within the blocks; None trains all weights.
        saves: how many checkpoints are written on the way, from which a killed training goes on.
        seed: of the order of the pairs and of the adapter's first weights.
    """

    beta: float = 0.1
    learning_rate: float = 5e-7
    final_rate: float = 5e-8
    warmup: float = 0.1
    weight_decay: float = 0.1
    epochs: int = 2
    batch_size: int = 512
    rows: int = 1
    lora_rank: int | None = None
    saves: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.rows, self.saves, 1 if self.lora_rank is None else self.lora_rank) < 1:
            raise InputError("epochs, pairs a step, pairs at once, checkpoints and an adapter's rank are 1 or more")
        if not 0 < self.final_rate <= self.learning_rate:
            raise InputError(f"the rate falls from {self.learning_rate} to {self.final_rate}; give rates above 0, the last not the larger")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


SETTINGS: Mapping[str, DPOSettings] = {
    "quick": DPOSettings(learning_rate=1e-4, final_rate=1e-5, batch_size=16, rows=4, saves=2),
    "paper": DPOSettings(),
}
"""`paper` as published; `quick` for models of a million to a few hundred million parameters and a few hundred pairs."""


@dataclass(frozen=True)
class Trained:
    """A trained model's folder, and what TRL logged at each step: loss, margin of the rewards, log probabilities and so on."""

    folder: Path
    log: Sequence[Mapping[str, float]]

    @property
    def margins(self) -> tuple[float, float]:
        """Reward margin, β times how much more likely the chosen answer became than the rejected, at the first and the last step."""
        found = [row["rewards/margins"] for row in self.log if "rewards/margins" in row]
        return (found[0], found[-1]) if found else (float("nan"), float("nan"))


def require_trl() -> Any:
    """TRL, imported now.

    Raises:
        InputError: it is not installed.
    """
    try:
        import_module("peft")
        return import_module("trl")
    except ImportError as error:
        raise InputError(f"RetMask is trained by TRL and peft ({error}); install them with: pip install 'mechdyn[train]'") from error


def train_dpo(model: str, pairs: "Dataset", settings: DPOSettings, folder: str | Path) -> Trained:
    """Train a model on pairs and save it as a Hugging Face folder, which `load_model` reads like any other.

    Where the same training was stopped before, it goes on from its last checkpoint.

    Args:
        model: a name or folder, as `load_model` takes it.
        pairs: prompt, chosen, rejected, from `preferences` or `read_pairs`.
        settings: one of `SETTINGS`, or others.
        folder: the new folder; checkpoints lie beside it under its name with `.checkpoints` until it is finished.

    Raises:
        InputError: TRL is not installed, the folder exists, or the model cannot be loaded.
    """
    require_trl()
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists already; name a new folder")
    checkpoints = folder.with_name(f"{folder.name}.{CHECKPOINTS}")
    with quiet_training():
        trainer, tokenizer = make_trainer(model, pairs, settings, checkpoints)
        trainer.train(resume_from_checkpoint=last_checkpoint(checkpoints))
        trained = trainer.accelerator.unwrap_model(trainer.model)
        trained = trained.merge_and_unload() if settings.lora_rank is not None else trained
        with new_folder(folder) as partial:
            trained.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
    shutil.rmtree(checkpoints, ignore_errors=True)
    log = [{name: float(value) for name, value in row.items()} for row in trainer.state.log_history]
    return Trained(folder, log)


def make_trainer(model: str, pairs: "Dataset", settings: DPOSettings, checkpoints: Path) -> tuple[Any, Any]:
    """TRL's trainer for the pairs, ready to go, and the model's tokenizer.

    The reference model is the model as it is now: its log probabilities are computed once, beforehand. Nothing is cut off (TRL's default
    cuts prompt and answer together to 1,024 tokens from behind, which takes the answers of long prompts away).
    """
    trl = require_trl()
    checkpoint, device = load_checkpoint(model)
    hf, tokenizer = checkpoint.hf, checkpoint.tokenizer
    if hf.config._attn_implementation == "eager" and hf._supports_sdpa:
        hf.set_attn_implementation("sdpa")
    trainer = trl.DPOTrainer(
        model=hf,
        args=trl.DPOConfig(**_arguments(settings, len(pairs), checkpoints, device)),
        train_dataset=pairs,
        processing_class=tokenizer,
        data_collator=_collator(tokenizer),
        peft_config=_adapter(settings),
    )
    # Without a bar it would print a line a step.
    for callback in [each for each in trainer.callback_handler.callbacks if type(each).__name__ == "PrinterCallback"]:
        trainer.remove_callback(callback)
    return trainer, tokenizer


def _arguments(settings: DPOSettings, n_pairs: int, checkpoints: Path, device: torch.device) -> dict[str, Any]:
    on_gpu = device.type == "cuda"
    rows = min(settings.rows, settings.batch_size)
    n_steps = settings.epochs * -(-n_pairs // settings.batch_size)
    return {
        "output_dir": str(checkpoints),
        "beta": settings.beta,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr": settings.final_rate},
        "warmup_steps": round(settings.warmup * n_steps),
        "weight_decay": settings.weight_decay,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": max(1, settings.batch_size // rows),
        "gradient_checkpointing": on_gpu,
        "max_length": None,
        "precompute_ref_log_probs": True,
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_steps": 1,
        "save_steps": max(1, n_steps // settings.saves),
        "save_total_limit": 1,
        "report_to": [],
        "disable_tqdm": not sys.stderr.isatty(),
        "dataloader_pin_memory": on_gpu,
    }


def _adapter(settings: DPOSettings) -> Any:
    if settings.lora_rank is None:
        return None
    from peft import LoraConfig

    rank = settings.lora_rank
    return LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")


def _collator(tokenizer: Any) -> Any:
    """TRL's own, its padding left visible.

    Padding stands behind an answer, where causal attention never looks, and is no part of the loss; a mask that hides it would only keep
    attention from its fast path, which made a step of 1,024 tokens some 1.4 times as slow on a CPU.
    """
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    class Unmasked(DataCollatorForPreference):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch = super().torch_call(examples)
            return {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])}

    return Unmasked(pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; the trainer's state is the last thing that one is given."""
    found = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    newest = max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return None if newest is None else str(newest)


@contextmanager
def quiet_training() -> Iterator[None]:
    """No bars of single steps and no advice to the trainer's own users; warnings come back afterwards."""
    import datasets

    bars, before = datasets.are_progress_bars_disabled(), os.environ.get("TQDM_DISABLE")
    levels = {name: logging.getLogger(name).level for name in ("trl", "transformers", "accelerate", "peft")}
    try:
        datasets.disable_progress_bars()
        os.environ["TQDM_DISABLE"] = "1"
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with quiet():
            yield
    finally:
        if before is None:
            os.environ.pop("TQDM_DISABLE", None)
        else:
            os.environ["TQDM_DISABLE"] = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if not bars:
            datasets.enable_progress_bars()
