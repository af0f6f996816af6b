"""How the code is laid out: one thing a name, few parameters a function, and neither task nor claim known by its name."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

from mechdyn.claims.claim import CLAIMS
from mechdyn.tasks.task import TASKS

PACKAGE = Path(__file__).resolve().parents[1] / "mechdyn"
MOST_PARAMETERS = 8
# The public function that a notebook calls takes more: each is an option that a reader of the paper knows.
MANY_PARAMETERS = {"trace"}


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def nodes(kind):
    return [(path, node) for path, tree in trees().items() for node in ast.walk(tree) if isinstance(node, kind)]


def test_no_function_has_many_parameters():
    def count(function):
        found = function.args
        return len([each for each in (*found.posonlyargs, *found.args, *found.kwonlyargs) if each.arg not in ("self", "cls")])

    many = {node.name for _, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef)) if count(node) > MOST_PARAMETERS}
    assert many <= MANY_PARAMETERS


def test_no_two_classes_have_one_name():
    names = Counter(node.name for _, node in nodes(ast.ClassDef) if not node.name.startswith("_"))
    assert {name for name, n in names.items() if n > 1} == set()


def test_neither_a_task_nor_a_claim_is_told_by_its_name():
    compared = []
    for path, node in nodes(ast.Compare):
        words = {part.value for each in (node.left, *node.comparators) for part in ast.walk(each) if isinstance(part, ast.Constant)}
        if words & {*TASKS.names(), *CLAIMS.names()}:
            compared.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert compared == []
