"""The names of mechdyn's own claims, read from their files: a shell that completes a name imports no claim, and so no torch."""

import ast
from collections.abc import Iterator
from pathlib import Path

RETMASK = "retmask"
"""What `mechdyn verify` takes beside the claims of the registry: a claim that is judged on answers of models it trains, and no traces."""


def claim_names() -> tuple[str, ...]:
    """The names of the classes under `@claim` in this package, sorted; claims of other packages are known once these are imported."""
    modules = (ast.parse(path.read_text(encoding="utf-8")) for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(name for module in modules for name in _names(module)))


def claims_beginning(incomplete: str) -> list[str]:
    """For a shell that completes a claim's name."""
    return [name for name in claim_names() if name.startswith(incomplete)]


def verified_beginning(incomplete: str) -> list[str]:
    """For a shell that completes what `mechdyn verify` takes."""
    return claims_beginning(incomplete) + [RETMASK] * RETMASK.startswith(incomplete)


def _names(module: ast.Module) -> Iterator[str]:
    """Of a field `name: str = "…"` in each class under `@claim`."""
    for node in module.body:
        if isinstance(node, ast.ClassDef) and any(isinstance(each, ast.Name) and each.id == "claim" for each in node.decorator_list):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id == "name":
                    yield ast.literal_eval(field.value) if field.value else ""
