import json
import subprocess
import sys

import mechdyn.views as views

# Each import of the views loads torch, which takes its seconds: one new interpreter answers all.
ASK = """
import json, sys
import mechdyn
light = "plotly" not in sys.modules and "torch" not in sys.modules
import plotly.io
before = plotly.io.templates.default
from mechdyn.views.timeline import timeline
print(json.dumps({
    "mechdyn imports no plotting": light,
    "circuitsvis waits for its first use": "circuitsvis" not in sys.modules,
    "plotly's default template stays": plotly.io.templates.default == before,
    "views.timeline is the function": mechdyn.views.timeline is timeline and callable(mechdyn.views.grid),
}))
"""


def test_importing_is_light_changes_nothing_and_gives_functions_for_modules_of_the_same_name() -> None:
    answer = json.loads(subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout)
    assert [statement for statement, holds in answer.items() if not holds] == []


def test_every_public_name_is_there() -> None:
    for name in views.__all__:
        assert callable(getattr(views, name))
