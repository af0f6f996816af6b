"""Deviance explained: the regression against scikit-learn, planted predictors, and what is refused."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mechdyn.errors import InputError
from mechdyn.stats.deviance import StepPredictor, deviance_explained
from mechdyn.stats.logistic import deviances, fit_logistic


def test_all_heads_at_once_are_scikit_learn_s_one_by_one():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.standard_normal((300, 4)), np.eye(3)[rng.integers(0, 3, 300)]], axis=1)
    fires = rng.random((300, 5)) < 1 / (1 + np.exp(-features[:, :1] - np.array([-3, -1, 0, 1, 2])))
    found = fit_logistic(features, fires, 2.0)
    centred = np.concatenate([features - features.mean(axis=0), np.zeros((2, 7))])
    weight = np.concatenate([np.ones(300), [0.5, 0.5]])
    for head in range(5):
        plain = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000)
        plain.fit(centred, np.concatenate([fires[:, head], [False, True]]), sample_weight=weight)
        assert found.weights[:, head] == pytest.approx(plain.coef_[0], abs=2e-3)
        assert found.intercept[head] == pytest.approx(plain.intercept_[0], abs=2e-3)
        rates = plain.predict_proba(centred[:300])
        expected = -2 * np.log(rates[np.arange(300), fires[:, head].astype(int)])
        assert deviances(found.log_odds(features)[:, [head]], fires[:, [head]]) == pytest.approx(expected, rel=1e-2)


def test_without_features_a_head_has_its_rate_and_half_an_observation():
    fires = np.array([[True, False], [True, False], [False, False]])
    rates = 1 / (1 + np.exp(-fit_logistic(np.zeros((3, 0)), fires, 1.0).intercept))
    assert rates == pytest.approx([2.5 / 4, 0.5 / 4])


def planted(rng, n_needles=12, n_rows=40, n_heads=8):
    """Heads whose rate is 0.9 or 0.1 by token; step and numbers say nothing."""
    needle = np.repeat(np.arange(n_needles), n_rows)
    token, step = rng.integers(0, 6, len(needle)), np.tile(np.arange(n_rows) % 5, n_needles)
    rates = np.where(rng.random((6, n_heads)) < 0.5, 0.9, 0.1)
    return needle, token, step, rng.random((len(needle), n_heads)) < rates[token]


def test_the_planted_predictor_explains_what_there_is():
    rng = np.random.default_rng(2)
    needle, token, step, fires = planted(rng)
    hidden = StepPredictor(np.eye(6)[token] @ rng.standard_normal((6, 20)) + 0.05 * rng.standard_normal((len(token), 20)), False, 8)
    predictors = {"step": StepPredictor.category(step), "token": StepPredictor.category(token), "hidden": hidden}
    calls = []
    found = deviance_explained(fires, predictors, needle, done=lambda: calls.append(1))
    base = fires.mean(axis=0)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    possible = 1 - entropy * fires.shape[1] / -(base * np.log(base) + (1 - base) * np.log(1 - base)).sum()
    assert found.alone["token"].estimate == pytest.approx(possible, abs=0.05)
    assert found.alone["hidden"].estimate == pytest.approx(possible, abs=0.06)
    assert found.alone["step"].estimate < 0.01
    assert found.added["token"].low > 0.2
    assert abs(found.added["hidden"].estimate) < 0.03
    assert found.together["step"] == found.alone["step"]
    assert found.together["hidden"].estimate == pytest.approx(sum(each.estimate for each in found.added.values()))
    assert len(calls) == 5 * (1 + 3 + 2)


def test_a_predictor_that_only_names_the_needle_explains_nothing_of_other_needles():
    rng = np.random.default_rng(4)
    needle, _, _, _ = planted(rng)
    fires = rng.random((len(needle), 6)) < rng.uniform(0.2, 0.8, (12, 6))[needle]
    assert deviance_explained(fires, {"needle": StepPredictor.category(needle)}, needle).alone["needle"].high < 0.01


def test_what_cannot_be_fitted_is_refused():
    rng = np.random.default_rng(5)
    needle, token, _, fires = planted(rng, n_needles=2)
    predictors = {"token": StepPredictor.category(token)}
    with pytest.raises(InputError, match="at least 3 needles"):
        deviance_explained(fires, predictors, needle)
    with pytest.raises(InputError, match="at least one predictor"):
        deviance_explained(fires, {}, needle)
    with pytest.raises(InputError, match="nothing to predict"):
        deviance_explained(np.zeros_like(fires), predictors, np.arange(len(fires)))
    with pytest.raises(InputError, match="above 0"):
        fit_logistic(np.zeros((3, 1)), fires[:3], 0.0)
