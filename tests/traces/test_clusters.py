"""Traces that share a needle or a haystack go together."""

import dataclasses

from mechdyn.traces.clusters import trace_clusters
from tests.studies.made_up import made_up


def of(needle, **meta):
    trace = made_up(0)
    prompt = trace.prompt_tokens.clone()
    prompt[trace.needle_positions] = needle
    return dataclasses.replace(trace, prompt_tokens=prompt, meta=meta)


def test_a_needle_or_a_text_in_common_makes_a_cluster():
    traces = [of(1, haystack="a", seed=1), of(1, haystack="a", seed=2), of(3, haystack="a", seed=2), of(4, haystack="b", seed=2)]
    assert trace_clusters(traces).tolist() == [0, 0, 0, 1]


def test_retests_link_samples_as_well():
    first = [of(1, haystack="a", seed=1), of(2, haystack="a", seed=2), of(3, haystack="a", seed=3)]
    retest = [of(1, haystack="a", seed=2), of(2, haystack="a", seed=5), of(3, haystack="a", seed=6)]
    assert trace_clusters(first).tolist() == [0, 1, 2]
    assert trace_clusters(first, retest).tolist() == [0, 0, 1]


def test_texts_without_a_seed_are_not_taken_for_one():
    assert trace_clusters([of(1, haystack="own"), of(2, haystack="own")]).tolist() == [0, 1]
