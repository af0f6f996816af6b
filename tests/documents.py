"""What a Markdown document says that can be checked: fenced blocks, the results they state, commands, links."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RESULT = re.compile(r"#\s*→\s*(.*)$")


@dataclass(frozen=True)
class Document:
    """One Markdown file."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text()

    def blocks(self, language: str) -> list[tuple[int, str]]:
        """Fenced blocks of a language with the line each begins on."""
        text = self.text
        return [(text.count("\n", 0, match.start(2)), match[2]) for match in _FENCE.finditer(text) if match[1] == language]

    def commands(self, program: str) -> list[list[str]]:
        """The words of every command line that calls `program`."""
        lines = (line for _, block in self.blocks("bash") for line in block.splitlines())
        return [words for line in lines if (words := shlex.split(line, comments=True)) and words[0] == program]

    def links(self) -> list[str]:
        """Where links into the repository lead, pictures among them."""
        return sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", self.text)))

    def run(self, names: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Run the Python blocks in order; for each line that states a result (`# → …`) its source, what is stated and what came."""
        for line, block in self.blocks("python"):
            source = "\n" * line + block  # blank lines in front, so that a traceback points into the document
            lines = source.splitlines()
            for statement in ast.parse(source).body:
                stated = _RESULT.search(lines[(statement.end_lineno or 1) - 1])
                if stated and isinstance(statement, ast.Expr):
                    code = compile(ast.Expression(statement.value), str(self.path), "eval")
                    yield ast.unparse(statement), stated[1].strip(), str(eval(code, names))
                else:
                    exec(compile(ast.Module([statement], []), str(self.path), "exec"), names)
