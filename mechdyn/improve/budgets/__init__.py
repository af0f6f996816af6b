"""Caches of keys and values of which each head has as much as a score says, once or at every step (docs/kv_budgets.md)."""
