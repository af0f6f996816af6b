"""Train the bundled model from scratch: `python -m experiments.train_mini --out FOLDER --prose BOOKS`.

One seeded run; started again with the same arguments it goes on from its last checkpoint. The result, a Hugging Face directory with its
model card, lies in `FOLDER/model`; what was measured of it in `FOLDER/evaluation.json`.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import torch
import torch.multiprocessing as mp
from transformers import PreTrainedTokenizerFast

from experiments.train_mini.card import write_card
from experiments.train_mini.config import TrainConfig
from experiments.train_mini.evaluate import EvaluateConfig, evaluate, print_evaluation
from experiments.train_mini.haystacks import HaystackFiles
from experiments.train_mini.tokenizer import save_tokenizer, train_tokenizer
from experiments.train_mini.train import build_model, end_of_round, train_worker
from mechdyn.errors import InputError
from mechdyn.runs.folder import write_json


def main() -> None:
    """Train, export, evaluate, write the card."""
    config, files = _parse()
    config.out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(config)
    _keep_config(config)
    if config.workers == 1:
        train_worker(0, config, tokenizer)
    else:
        mp.spawn(train_worker, args=(config, tokenizer), nprocs=config.workers)
    folder = export(config, tokenizer)
    evaluation = None
    if files is not None:
        evaluation = evaluate(EvaluateConfig(model=str(folder), files=files))
        print_evaluation(evaluation)
        write_json(config.out / "evaluation.json", evaluation.as_json())
    write_card(folder, config.out, evaluation)


def export(config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Write the mean of the weights at the last rounds' ends as a bf16 Hugging Face directory that everyone can read."""
    files = [end_of_round(config, each.end) for each in config.rounds[-config.averaged_rounds :]]
    states = [torch.load(file, map_location="cpu", weights_only=True) for file in files]
    model = build_model(config, tokenizer)
    model.load_state_dict({name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]})
    folder = config.out / "model"
    model.to(torch.bfloat16).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # save_pretrained leaves the weights to their owner alone
    return folder


def _keep_config(config: TrainConfig) -> None:
    """Write the configuration beside the checkpoint, from which another recipe never goes on (the number of steps may change)."""
    path, wanted = config.out / "config.json", json.loads(json.dumps(dataclasses.asdict(config), default=str))
    if (config.out / "checkpoint.pt").exists() and path.exists():
        found = json.loads(path.read_text())
        different = [name for name in wanted if name not in ("steps", "out") and found.get(name, wanted[name]) != wanted[name]]
        if different:
            name = different[0]
            raise InputError(
                f"{config.out} holds a run with {name} {found[name]!r}, this one has {wanted[name]!r}; name a new folder with --out"
            )
    write_json(path, wanted)


def _parse() -> tuple[TrainConfig, HaystackFiles | None]:
    """The recipe, and the texts to evaluate on (None: no evaluation)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint, log, config and the model")
    parser.add_argument("--prose", type=Path, default=Path("../shared/data/haystack"), help="folder of books in .txt files")
    parser.add_argument("--sources", type=Path, help="folder of Python sources; the standard library when left out")
    parser.add_argument("--questions", type=Path, help="to evaluate on: file in HotpotQA's JSON layout, for its paragraphs")
    parser.add_argument("--essays", type=Path, help="to evaluate on: text file, or folder of .txt files, off the web")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--steps", type=int, default=TrainConfig.steps, help="the last decay_steps of them decay the learning rate to zero")
    parser.add_argument("--workers", type=int, default=TrainConfig.workers, help="single-threaded CPU processes; 1 on a GPU")
    parser.add_argument("--device", default=TrainConfig.device, help="cpu or cuda")
    parser.add_argument("--no-evaluate", action="store_true", help="end with the model, without measuring it")
    arguments = vars(parser.parse_args())
    files = HaystackFiles(arguments["prose"], arguments.pop("questions"), arguments.pop("essays"))
    evaluated = not arguments.pop("no_evaluate")
    return TrainConfig(**arguments), files if evaluated else None


if __name__ == "__main__":
    main()
