"""The models that have a short name."""

from dataclasses import dataclass
from pathlib import Path

MINI_FOLDER = Path(__file__).parent / "mini"
CONTROLS = ("planted-static", "planted-dynamic")
PAPER_MODELS = {
    "llama3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "llama3.2-3b": "meta-llama/Llama-3.2-3B-Instruct",
    "qwen3-8b": "Qwen/Qwen3-8B",
    "llama2-13b": "meta-llama/Llama-2-13b-chat-hf",
    "phi4-mini": "microsoft/Phi-4-mini-instruct",
}


@dataclass(frozen=True)
class Listing:
    """One line of `mechdyn models`."""

    name: str
    source: str
    about: str


def list_models() -> list[Listing]:
    """Everything that `load_model` takes by a short name."""
    return [
        Listing("mini", "bundled", "a small Llama trained for this package on needles and two-hop questions"),
        Listing("planted-static", "built in", "a control, not a model of anything: the same heads retrieve at every step"),
        Listing("planted-dynamic", "built in", "a control, not a model of anything: the heads change with the copied token"),
        *(Listing(name, hub, "one of the paper's five models, from the hub") for name, hub in PAPER_MODELS.items()),
    ]
