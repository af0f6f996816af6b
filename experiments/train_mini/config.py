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
    """From step `start` on, rows have one of these lengths (drawn uniformly) and a step holds `tokens` tokens a worker.

    `mix` and `long_mix` are the shares of needles, two-hop and list rows among rows of 300 to 1,500 tokens, and of longer ones. Heads are
    dropped at rates up to `head_dropout_max`, from the recipe's `head_dropout_from` on. Of the needles a share `other_values` has numbers,
    dates, codes and words instead of UUIDs and names.
    """

    start: int
    lengths: tuple[int, ...]
    tokens: int
    mix: tuple[float, float, float] = (0.42, 0.54, 0.04)
    long_mix: tuple[float, float, float] = (0.7, 0.3, 0.0)
    head_dropout_max: float = 0.3
    other_values: float = 0.0


@dataclass(frozen=True)
class Round:
    """Steps up to `end`: a warm-up to `peak` of the full rate, a constant rate, and linear decay to zero over the last `decay_steps`."""

    end: int
    decay_steps: int
    peak: float = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """The recipe. Lengths leave 96 tokens beyond the advertised prompt length for answers."""

    out: Path
    prose: Path
    sources: Path | None = None  # folder of Python sources; None takes the standard library of this Python
    python: str = "{}.{}".format(*sys.version_info)  # whose standard library that is
    held_out: str = "sherlock"  # files whose name holds this are never trained on: unseen prose for the evaluation
    seed: int = 0
    steps: int = 7300
    decay_steps: int = 500  # of the last round
    peak: float = 0.5  # of the last round
    earlier_rounds: tuple[Round, ...] = (Round(4800, 1000), Round(6700, 1400))  # a round begins again with a warm-up
    averaged_rounds: int = 2  # the model is the mean of the weights at the ends of so many rounds, the last ones
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
    checkpoint_every: int = 50
    stages: tuple[Stage, ...] = field(
        default=(
            Stage(0, (160,), 2560),
            Stage(450, (352,), 4224),
            Stage(1000, (352, 608), 4864),
            Stage(1600, (352, 608, 1120), 4480),
            Stage(2600, (352, 608, 1120, 1120, 2144), 4480),
            Stage(4800, (352, 608, 1120, 1120, 2144), 4480, mix=(0.3, 0.67, 0.03), long_mix=(0.65, 0.35, 0.0)),
            Stage(6700, (352, 608, 1120, 2144), 4480, mix=(0.45, 0.53, 0.02), long_mix=(0.7, 0.3, 0.0), other_values=0.45),
        )
    )

    def stage(self, step: int) -> Stage:
        """The curriculum's stage at a step."""
        return [stage for stage in self.stages if stage.start <= step][-1]

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The earlier rounds that end before `steps`, and the last one."""
        return (*(each for each in self.earlier_rounds if each.end < self.steps), Round(self.steps, self.decay_steps, self.peak))

    def learning_rate_factor(self, step: int) -> float:
        """In each round a linear warm-up, a constant rate, and linear decay to zero."""
        start = max((each.end for each in self.rounds if each.end <= step), default=0)
        now = next(each for each in self.rounds if step < each.end)
        return now.peak * min(1.0, (step - start + 1) / self.warmup_steps) * min(1.0, (now.end - step) / now.decay_steps)
