"""The strategies by name, in the order of tables."""

from collections.abc import Mapping
from types import MappingProxyType

N_HEADS = 5
"""Heads a strategy chooses (5.3)."""
DYNAMIC, ORACLE, STATIC = "dynamic", "oracle", "static"
DYNAMIC_RANDOM, FIXED_RANDOM = "dynamic-random", "fixed-random"
NO_CONTEXT, FULL_CONTEXT = "no-context", "full-context"
STRATEGIES = (DYNAMIC, ORACLE, STATIC, DYNAMIC_RANDOM, FIXED_RANDOM, NO_CONTEXT, FULL_CONTEXT)
ABOUT: Mapping[str, str] = MappingProxyType(
    {
        DYNAMIC: "the probe's top heads",
        ORACLE: "the top heads by Eq. 2",
        STATIC: "the top heads of a detection set",
        DYNAMIC_RANDOM: "random heads, drawn at each retrieval",
        FIXED_RANDOM: "random heads, drawn once an answer",
        NO_CONTEXT: "no context (w/o RAG)",
        FULL_CONTEXT: "all of the context",
    }
)
