"""Check that the planted controls got the verdicts they were built for: `expect_verdict.py RUN_FOLDER…`."""

import json
import sys
from pathlib import Path

EXPECTED = {
    ("planted-static", "dynamism"): "refuted",
    ("planted-nested", "dynamism"): "refuted",
    ("planted-dynamic", "dynamism"): "supported",
    ("planted-step", "dynamism"): "supported",
}


def wrong_verdicts(folder: Path) -> list[str]:
    """One line for each verdict of a control that is not the known one, and one where there is none to check."""
    verdicts = json.loads((folder / "verdicts.json").read_text())
    checked = [(row, EXPECTED[row["model"], row["claim"]]) for row in verdicts if (row["model"], row["claim"]) in EXPECTED]
    if not checked:
        return [f"{folder} holds no verdict with a known answer"]
    return [
        f"{folder}: {row['claim']} on {row['model']} must be {expected}, got {row['verdict']}"
        for row, expected in checked
        if row["verdict"] != expected
    ]


if __name__ == "__main__":
    wrong = [line for folder in sys.argv[1:] for line in wrong_verdicts(Path(folder))]
    sys.exit("\n".join(wrong) if wrong else 0)
