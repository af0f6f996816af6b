"""Train the bundled model from scratch: `python -m experiments.train_mini --out FOLDER --prose BOOKS`.

One seeded run; started again with the same arguments it goes on from its last checkpoint. The result, a Hugging Face directory, lies in
`FOLDER/model`.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import torch
import torch.multiprocessing as mp
from transformers import PreTrainedTokenizerFast

from experiments.train_mini.config import TrainConfig
from experiments.train_mini.tokenizer import save_tokenizer, train_tokenizer
from experiments.train_mini.train import build_model, train_worker


def main() -> None:
    config = _parse()
    config.out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(config)
    (config.out / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=1, default=str))
    if config.workers == 1:
        train_worker(0, config, tokenizer)
    else:
        mp.spawn(train_worker, args=(config, tokenizer), nprocs=config.workers)
    export(config, tokenizer)


def export(config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the last checkpoint as a bf16 Hugging Face directory."""
    state = torch.load(config.out / "checkpoint.pt", map_location="cpu", weights_only=True)
    model = build_model(config, tokenizer)
    model.load_state_dict(state["model"])
    folder = config.out / "model"
    model.to(torch.bfloat16).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def _parse() -> TrainConfig:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint, log, config and the model")
    parser.add_argument("--prose", type=Path, default=Path("../shared/data/haystack"), help="folder of books in .txt files")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--steps", type=int, default=TrainConfig.steps, help="the last decay_steps of them decay the learning rate")
    parser.add_argument("--workers", type=int, default=TrainConfig.workers, help="single-threaded CPU processes; 1 on a GPU")
    parser.add_argument("--device", default=TrainConfig.device, help="cpu or cuda")
    return TrainConfig(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
