"""Everything that decides the bundled model, in one place."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

SPECIAL_TOKENS = ("<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Stage:
    """From step `start` on, rows have one of these lengths (drawn uniformly) and a step holds `tokens` tokens a worker."""

    start: int
    lengths: tuple[int, ...]
    tokens: int


@dataclass(frozen=True)
class TrainConfig:
    """The recipe. Lengths leave 96 tokens beyond the advertised prompt length for answers."""

    out: Path
    prose: Path
    sources: Path | None = None  # folder of Python sources; None takes the standard library of this Python
    python: str = "{}.{}".format(*sys.version_info)  # whose standard library that is
    held_out: str = "sherlock"  # files whose name holds this are never trained on: unseen prose for the evaluation
    seed: int = 0
    steps: int = 4800
    decay_steps: int = 1000
    warmup_steps: int = 60
    workers: int = 2
    device: str = "cpu"
    compile: bool = True
    vocab_size: int = 2048
    d_model: int = 128
    n_layers: int = 5
    n_heads: int = 16
    n_kv_heads: int = 8
    d_head: int = 16
    d_mlp: int = 256
    rope_theta: float = 10_000.0
    n_ctx: int = 2304
    muon_lr: float = 4e-3
    adamw_lr: float = 3e-3
    weight_decay: float = 0.01
    prose_weight: float = 16.0  # in answer tokens a row
    world_weight: float = 0.02
    probe_every: int = 200
    head_dropout_from: int = 1000
    head_dropout_max: float = 0.3
    checkpoint_every: int = 50
    stages: tuple[Stage, ...] = field(
        default=(
            Stage(0, (160,), 2560),
            Stage(450, (352,), 4224),
            Stage(1000, (352, 608), 4864),
            Stage(1600, (352, 608, 1120), 4480),
            Stage(2600, (352, 608, 1120, 1120, 2144), 4480),
        )
    )

    def stage(self, step: int) -> Stage:
        """The curriculum's stage at a step."""
        return [stage for stage in self.stages if stage.start <= step][-1]

    def learning_rate_factor(self, step: int) -> float:
        """Linear warm-up, constant, linear decay to zero over the last `decay_steps`."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return warm * min(1.0, (self.steps - step) / self.decay_steps)
