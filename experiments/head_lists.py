"""How far published lists of retrieval heads agree: the tables and pictures of docs/head_lists.md, from the lists by one command.

`python -m experiments.head_lists --lists FOLDER` writes the tables between the page's marks, and the pictures into docs/pictures. The lists
are others' and not part of this project; FOLDER holds them under the names below. A list that is not there is left out, and said.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mechdyn.cli import run_script
from mechdyn.errors import InputError
from mechdyn.evidence import Table, Verdict
from mechdyn.heads import RankedHeads, read_heads
from mechdyn.reports.tables import interval_text, table_markdown
from mechdyn.stats.head_lists import concentration, overlap, rank_correlation, tied_at
from mechdyn.studies.head_lists import compare_lists, of_one_shape
from mechdyn.studies.wu2024 import intrinsic, sparse, universal
from mechdyn.views.head_lists import list_matrix
from mechdyn.views.head_maps import head_map_difference

SAME_DEFINITION, BASE, OTHER_DEFINITION, SEEDS = "same definition, two groups", "base and derived", "other definition", "same, two seeds"
_WU = "Wu et al."
LISTS: Mapping[str, tuple[str, str, str | None]] = {
    "L2-80k Wu": ("wu_mean_llama-2-7b-80k.json", _WU, None),
    "Yi-6B-200K Wu": ("wu_mean_Yi-6B-200K.json", _WU, None),
    "Mixtral-8x7B Wu": ("wu_mean_Mixtral-8x7B-v0.1.json", _WU, None),
    "Qwen1.5-14B Wu": ("wu_Qwen1.5-14B.json", _WU, None),
    "Qwen1.5-14B-Chat Wu": ("wu_Qwen1.5-14B-Chat.json", _WU, None),
    "L3-8B DeCoRe": ("decore_mean_Meta-Llama-3-8B.json", _WU, None),
    "L3-8B-I DeCoRe": ("decore_Meta-Llama-3-8B-Instruct.json", _WU, None),
    "L3-8B-I HeadKV": ("headkv_mean_Meta-Llama-3-8B-Instruct_retrieval_heads.json", _WU, None),
    "L3-8B-I R2": ("headkv_mean_Meta-Llama-3-8B-Instruct_retrieval_reasoning_heads.json", "HeadKV's R2", None),
    "L3-8B-I iahd": ("iahd_llama3_instruct_qrhead_hq_state_4096.json", "QRHead", None),
    "L3-8B iahd": ("iahd_llama3_base_qrhead_hq_state_4096.json", "QRHead", None),
    "Qwen2-7B-I DeCoRe": ("decore_mean_Qwen2-7B-Instruct.json", _WU, None),
    "L3.1-8B-I RetMask": ("retmask_Llama-3.1-8B-Instruct.json", _WU, None),
    "L3.1-8B-I CompressKV": ("compresskv_mean_wu_Llama-3.1-8B-Instruct.json", _WU, None),
    "L3.1-8B-I argmax": ("profile_llama31_8b_instruct_seed42.json", "profile, argmax", None),
    "L3.1-8B-I copy": ("profile_llama31_8b_instruct_seed42.json", "profile, copy", "profile-copy"),
    "L3.1-8B argmax": ("profile_llama31_8b_seed42.json", "profile, argmax", None),
    "L3.1-8B argmax, seed 123": ("profile_llama31_8b_seed123.json", "profile, argmax", None),
    "L3.1-8B-I QRHead LME": ("qrhead_Llama-3.1-8B-Instruct_LME.yaml", "QRHead on LongMemEval", None),
    "L3.1-8B-I QRHead NQ": ("qrhead_Llama-3.1-8B-Instruct_qr_head_NQ.yaml", "QRHead on NQ", None),
    "L3.1-8B-I Duo": ("duoattention_Llama-3.1-8B-Instruct.tsv", "DuoAttention's gates", "duoattention:query_heads=32"),
    "Qwen3-8B RetMask": ("retmask_Qwen3-8B.json", _WU, None),
    "Olmo-3-7B-Think RetMask": ("retmask_Olmo-3-7B-Think.json", _WU, None),
    "Phi-3.5-mini-I en": ("multilingual_mean_enen_Phi-3.5-mini-instruct.json", "Wu et al., multilingual", None),
    "Phi-3.5-mini-I zh": ("multilingual_mean_zhzh_Phi-3.5-mini-instruct.json", "Wu et al., multilingual", None),
    "Mistral-v0.3 argmax": ("profile_mistral7b_v03_seed42.json", "profile, argmax", None),
    "Mistral-v0.3-I argmax": ("profile_mistral7b_v03_instruct_seed42.json", "profile, argmax", None),
    "OLMo-2-7B argmax": ("profile_olmo2_7b_seed42.json", "profile, argmax", None),
    "OLMo-2-7B-I argmax": ("profile_olmo2_7b_instruct_seed42.json", "profile, argmax", None),
    "Qwen2.5-7B argmax": ("profile_qwen25_7b_seed42.json", "profile, argmax", None),
    "Qwen2.5-7B-I argmax": ("profile_qwen25_7b_instruct_seed42.json", "profile, argmax", None),
    "Qwen2.5-7B-I focus": ("focus_contextual_Qwen2.5-7B-Instruct.json", "Focus Directions", None),
}
"""By name: file, definition, format where it is not the recognised one. L is Llama, I is Instruct."""

PAIRS = (
    (SAME_DEFINITION, "L3-8B-I DeCoRe", "L3-8B-I HeadKV"),
    (SAME_DEFINITION, "L3.1-8B-I RetMask", "L3.1-8B-I CompressKV"),
    (SEEDS, "L3.1-8B argmax", "L3.1-8B argmax, seed 123"),
    ("other language", "Phi-3.5-mini-I en", "Phi-3.5-mini-I zh"),
    (BASE, "Qwen1.5-14B Wu", "Qwen1.5-14B-Chat Wu"),
    (BASE, "L3-8B DeCoRe", "L3-8B-I DeCoRe"),
    (BASE, "L3-8B iahd", "L3-8B-I iahd"),
    (BASE, "L3.1-8B argmax", "L3.1-8B-I argmax"),
    (BASE, "Mistral-v0.3 argmax", "Mistral-v0.3-I argmax"),
    (BASE, "OLMo-2-7B argmax", "OLMo-2-7B-I argmax"),
    (BASE, "Qwen2.5-7B argmax", "Qwen2.5-7B-I argmax"),
    (OTHER_DEFINITION, "L3-8B-I HeadKV", "L3-8B-I R2"),
    (OTHER_DEFINITION, "L3-8B-I HeadKV", "L3-8B-I iahd"),
    (OTHER_DEFINITION, "L3.1-8B-I RetMask", "L3.1-8B-I argmax"),
    (OTHER_DEFINITION, "L3.1-8B-I RetMask", "L3.1-8B-I copy"),
    (OTHER_DEFINITION, "L3.1-8B-I argmax", "L3.1-8B-I copy"),
    (OTHER_DEFINITION, "L3.1-8B-I RetMask", "L3.1-8B-I QRHead LME"),
    (OTHER_DEFINITION, "L3.1-8B-I argmax", "L3.1-8B-I QRHead LME"),
    (OTHER_DEFINITION, "L3.1-8B-I QRHead LME", "L3.1-8B-I QRHead NQ"),
    (OTHER_DEFINITION, "L3.1-8B-I RetMask", "L3.1-8B-I Duo"),
    (OTHER_DEFINITION, "Qwen2.5-7B-I argmax", "Qwen2.5-7B-I focus"),
)
MATRIX = tuple(name for name in LISTS if name.startswith(("L3-8B", "L3.1-8B")))
_LLAMA_3 = (32, 32)
"""The layers and heads of these models; QRHead's files do not say them."""
DIFFERENCE = ("L3-8B-I HeadKV", "L3-8B-I R2")
_MARK = "<!-- {}: made by python -m experiments.head_lists -->"
_END = "\n<!-- end -->"


def head_lists(
    lists: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder with the published lists.")],
    page: Annotated[Path, typer.Option(help="The page whose tables are made anew.")] = Path("docs/head_lists.md"),
    pictures: Annotated[Path | None, typer.Option(help="Folder of the pictures; none are drawn when left out.")] = None,
) -> None:
    """Read the lists, write the page's tables and pictures."""
    read = read_lists(lists)
    for name in LISTS.keys() - read.keys():
        print(f"left out {name}: {LISTS[name][0]} is not in {lists}")
    tables = {"agreement": agreement_table(read), "lists": table_of_lists(read), "properties": properties_table(read)}
    page.write_text(with_tables(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    print(f"page     {page}")
    if pictures:
        for picture in draw(read, pictures):
            print(f"picture  {picture}, {picture.stat().st_size:,} bytes")


def read_lists(folder: Path) -> dict[str, RankedHeads]:
    """Those of the lists that are in a folder.

    Raises:
        InputError: none of them is, or one cannot be read.
    """
    found = {name: read_heads(folder / file, layout) for name, (file, _, layout) in LISTS.items() if (folder / file).exists()}
    if not found:
        raise InputError(f"none of the published lists is in {folder}; experiments/head_lists.py has their names")
    return {name: ranked.fit(*_LLAMA_3) if name in MATRIX else ranked for name, ranked in found.items()}


def agreement_table(read: Mapping[str, RankedHeads]) -> Table:
    """A line for each pair: how far the first 20 heads (16 of QRHead's sets) agree."""
    rows = []
    for kind, first, second in PAIRS:
        if first not in read or second not in read:
            continue
        one, other = of_one_shape({first: read[first], second: read[second]}).values()
        k = min(20, len(one.heads), len(other.heads))
        found, ranks = overlap(one, other, k), rank_correlation(one, other)
        rho = f"{ranks.rho:.2f}" if ranks.n == (one.n_layers or 0) * (one.n_heads or 0) else ""
        rows.append((kind, f"{first}, {second}", f"{found.shared} of {k}", f"{found.jaccard:.2f}", f"{found.chance:.3f}", rho))
    columns = ("", "lists", "shared", "Jaccard", "by chance", "rank correlation")
    return Table("", ("what differs", *columns[1:]), tuple(rows), numbers=columns[2:])


def table_of_lists(read: Mapping[str, RankedHeads]) -> Table:
    """A line for each list: definition, samples, and how few heads hold the scores."""
    rows = []
    for name, ranked in read.items():
        held, tied = concentration(ranked), tied_at(ranked)[1]
        numbers = ("", "") if held.gini != held.gini else (f"{held.gini:.2f}", f"{held.effective:.0f}")
        rows.append((name, LISTS[name][1], "" if ranked.n is None else str(ranked.n), str(len(ranked.heads)), *numbers, str(tied or "")))
    numbers_of = ("samples", "heads", "Gini", "effective heads", "tied behind 20")
    return Table("", ("list", "definition", *numbers_of), tuple(rows), numbers=numbers_of)


def properties_table(read: Mapping[str, RankedHeads]) -> Table:
    """The verdicts on lists by Wu et al.'s definition, and on base models beside those derived from them."""
    wu = {name: ranked for name, ranked in read.items() if LISTS[name][1] == _WU}
    judged = [sparse(name, ranked) for name, ranked in wu.items()]
    judged += [
        intrinsic(f"{second} from {first}", read[first], read[second])
        for kind, first, second in PAIRS
        if kind == BASE and {first, second} <= read.keys()
    ]
    judged += [universal(wu)] if wu else []
    rows = tuple((verdict.claim.removeprefix("wu2024."), verdict.model, _measured(verdict), str(verdict.outcome)) for verdict in judged)
    return Table("", ("property", "list", "measured", "verdict"), rows)


def _measured(verdict: Verdict) -> str:
    first = verdict.evidence[0]
    if verdict.claim == "wu2024.sparse":
        return f"share {interval_text(first.interval)}"
    if verdict.claim == "wu2024.intrinsic":
        return f"Jaccard {first.interval.estimate:.2f}, by chance {first.null:.3f}"
    counts = [evidence.interval for evidence in verdict.evidence]
    return f"{len(counts)} lists, {min(each.low for each in counts):.0f} heads at least"


def with_tables(text: str, tables: Mapping[str, Table]) -> str:
    """The page with its tables made anew.

    Raises:
        InputError: the page lacks the mark of a table.
    """
    for name, table in tables.items():
        start = _MARK.format(name)
        pattern = re.compile(re.escape(start) + ".*?" + re.escape(_END), re.DOTALL)
        if not (found := pattern.search(text)):
            raise InputError(f"the page has no place for the table {name!r}; write {start.strip()!r} and {_END.strip()!r} where it goes")
        before, _, behind = text.partition(found.group())
        text = f"{before}{start}\n\n{table_markdown(table)}\n{_END}{behind}"
    return text


def draw(read: Mapping[str, RankedHeads], folder: Path) -> list[Path]:
    """The matrix of all lists of one shape, and where two definitions part, as SVG."""
    chosen = of_one_shape({name: read[name] for name in MATRIX if name in read})
    two = {name: read[name] for name in DIFFERENCE}
    figures = {
        "head_lists_matrix.svg": list_matrix(compare_lists(chosen, 16), title="Llama-3 and Llama-3.1, 8B"),
        "head_lists_difference.svg": head_map_difference(two, title="Llama-3-8B-Instruct: two definitions"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.write_image(folder / name, width=860)
    return [folder / name for name in figures]


if __name__ == "__main__":
    run_script(head_lists)
