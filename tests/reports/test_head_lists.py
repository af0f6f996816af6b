"""Tables and page of lists of heads: their numbers are those measured, and nothing in a name is taken for markup."""

import math

from mechdyn.heads import Head, RankedHeads
from mechdyn.reports.head_lists import comparison_page, joins_table, list_table, lists_table, pairs_table, verdict_on_lists
from mechdyn.stats.head_lists import concentration
from mechdyn.studies.head_lists import compare_lists
from mechdyn.studies.wu2024 import intrinsic, sparse
from tests.stats.test_head_lists import drawn
from tests.studies.test_wu2024 import sampled

LISTS = {"one": drawn(0), "<b>two</b>": drawn(1), "ranks": RankedHeads(drawn(2).heads[:9], (math.nan,) * 9, 6, 8)}


def test_a_list_is_shown_with_its_first_heads():
    ranked = sampled(0, 3)
    table = list_table("x", ranked, 4)
    assert [row[:2] for row in table.rows] == [(str(place + 1), str(head)) for place, head in enumerate(ranked.heads[:4])]
    assert table.rows[0][2:] == (f"{ranked.scores[0]:.4f}", f"{ranked.spread[0].sd:.4f}", "60")
    assert list_table("x", LISTS["ranks"], 2).rows[1] == ("2", str(LISTS["ranks"].heads[1]), "")


def test_tables_of_a_comparison_hold_what_was_measured():
    found = compare_lists(LISTS, 5)
    rows = lists_table(LISTS, 5).rows
    assert [row[0] for row in rows] == list(LISTS)
    assert rows[0][4:6] == (f"{concentration(LISTS['one']).gini:.3f}", f"{concentration(LISTS['one']).effective:.1f}")
    assert rows[2][3:] == ("9", "", "", "")
    for row, pair in zip(pairs_table(found).rows, found.pairs, strict=True):
        assert row[1:3] == (f"{pair.overlap.shared} of 5", f"{pair.overlap.jaccard:.3f}")
    assert len(joins_table(found).rows) == 2 and joins_table(compare_lists({name: LISTS[name] for name in ("one", "ranks")})) is None


def test_ties_at_the_edge_are_told():
    heads = tuple(Head(0, head) for head in range(6))
    flat = RankedHeads(heads, (1.0,) * 5 + (0.0,), 1, 6)
    assert lists_table({"flat": flat}, 2).rows[0][-1] == "2 and 3"


def test_the_page_has_a_map_of_each_list_and_escapes_names():
    for dark in (False, True, None):
        page = comparison_page(compare_lists(LISTS, 5), "<i>lists</i>", dark=dark)
        assert page.count('id="figure-') == 5
        assert "<b>two</b>" not in page.split("<script>", 1)[0] and "<i>lists</i>" not in page
        assert "&lt;b&gt;two&lt;/b&gt;" in page


def test_verdicts_on_lists_have_bounds_only_where_there_are_any():
    (table,) = verdict_on_lists(sparse("m", sampled(0, 6)))
    assert table.rows[1][1] == "6 [6, 6]" and table.rows[0][1] == "0.030 [0.030, 0.030]"
    (table,) = verdict_on_lists(intrinsic("m", sampled(0, 6), sampled(0, 6)))
    assert table.rows[0][:2] == ("Jaccard, k = 20", "1.000") and "nan" not in "".join(map(str, table.rows))
