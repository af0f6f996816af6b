"""Peak memory of a trace against plain Hugging Face sdpa prefill and decode of the same prompt.

`python -m experiments.benchmarks.trace_memory` runs each in a process of its own and prints whole-process peaks, peaks above what the
loaded model took, and their ratios. The model is random: 2 layers of 8 heads, d 256, 16,384 tokens by default.
"""

import argparse
import json
import resource
import subprocess
import sys

import psutil
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from mechdyn.decoding.trace import trace
from mechdyn.models.load import wrap_model
from mechdyn.models.registry import MINI_FOLDER
from mechdyn.tasks.sample import Sample

N_NEW = 8


def measure(kind: str, length: int) -> dict[str, float]:
    """Peak memory in MiB of one run in this process: in all, and above the loaded model."""
    torch.manual_seed(0)
    hf = _model(length)
    tokens = torch.randint(6, 2000, (length,))
    wrapped = wrap_model(hf, AutoTokenizer.from_pretrained(MINI_FOLDER), name="random") if kind == "trace" else None
    loaded = psutil.Process().memory_info().rss / 2**20
    if wrapped is not None:
        needle = torch.arange(length // 2, length // 2 + 30)
        trace(wrapped, Sample("niah", "random", tokens, ((0, 1),), needle, (0, 1), "?", "!"), max_new_tokens=N_NEW)
    else:
        _plain(hf, tokens)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"peak": peak, "above": peak - loaded}


def _model(length: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=length + 64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


@torch.inference_mode()
def _plain(hf: LlamaForCausalLM, tokens: torch.Tensor) -> None:
    """Prefill in one go, then greedy steps, as `generate` does."""
    hf.set_attn_implementation("sdpa")
    output = hf(tokens[None, :-1], use_cache=True, logits_to_keep=1)
    token = tokens[-1:]
    for _ in range(N_NEW):
        output = hf(token[None], past_key_values=output.past_key_values, use_cache=True)
        token = output.logits[0, -1].argmax()[None]


def main() -> None:
    """Run both kinds in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=16_384, help="tokens of the prompt")
    parser.add_argument("--kind", choices=("trace", "plain"), help="measure one kind in this process and print JSON")
    arguments = parser.parse_args()
    if arguments.kind:
        print(json.dumps(measure(arguments.kind, arguments.length)))
        return
    found = {}
    for kind in ("plain", "trace"):
        command = [sys.executable, "-m", "experiments.benchmarks.trace_memory", "--kind", kind, "--length", str(arguments.length)]
        found[kind] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(f"{kind:6} peak {found[kind]['peak']:7.0f} MiB, above the loaded model {found[kind]['above']:7.0f} MiB")
    for name in ("peak", "above"):
        print(f"ratio of {name}: {found['trace'][name] / found['plain'][name]:.2f}")


if __name__ == "__main__":
    main()
