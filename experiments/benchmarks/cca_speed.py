"""Time of closed-form CCA beside scikit-learn's iteration, in turns on the same data: 5,000 steps x 256 dims x 80 heads.

Run: `python -m experiments.benchmarks.cca_speed`. Goal: a ratio of at least 50, leading correlations equal to 1e-3.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.cross_decomposition import CCA
from sklearn.exceptions import ConvergenceWarning

from mechdyn.stats.cca import fit_cca

STRENGTHS = (0.95, 0.85, 0.7, 0.55)


def planted_data(n_steps: int, d_model: int, n_heads: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two mixed sides that share one latent a strength: well apart, so that the iteration converges on them."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n_steps, d_model)), rng.normal(size=(n_steps, n_heads))
    for column, strength in enumerate(STRENGTHS):
        y[:, column] = strength * x[:, column] + np.sqrt(1 - strength**2) * y[:, column]
    return x @ rng.normal(size=(d_model, d_model)), y @ rng.normal(size=(n_heads, n_heads))


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description="closed-form CCA against scikit-learn's, in turns")
    parser.add_argument("--steps", type=int, default=5000, help="rows")
    parser.add_argument("--dims", type=int, default=256, help="columns of the hidden states")
    parser.add_argument("--heads", type=int, default=80, help="columns of the scores")
    parser.add_argument("--components", type=int, default=50, help="canonical components")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each; the median counts")
    options = parser.parse_args()
    x, y = planted_data(options.steps, options.dims, options.heads, seed=0)
    ours, theirs = [], []
    for turn in range(options.repeats):
        start = time.perf_counter()
        fit = fit_cca(x, y, n_components=options.components)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # components of pure noise lie too close together to converge
            reference = CCA(n_components=options.components).fit(x, y)
        theirs.append(time.perf_counter() - start)
        print(f"turn {turn}: closed form {ours[-1]:.3f} s, scikit-learn {theirs[-1]:.2f} s")
    u, v = reference.transform(x, y)
    leading = [np.corrcoef(u[:, c], v[:, c])[0, 1] for c in range(len(STRENGTHS))]
    print(
        f"largest difference of the {len(STRENGTHS)} planted correlations: {np.abs(fit.correlations[: len(STRENGTHS)] - leading).max():.1e}"
    )
    print(f"ratio of medians: {np.median(theirs) / np.median(ours):.0f}x")


if __name__ == "__main__":
    main()
