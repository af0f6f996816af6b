"""Which heads to switch off at each step: ablation schedules as values.

A schedule is a frozen dataclass with `heads(observation)`, decorated with `@schedule("kind")`. Kind and fields are its JSON form, by
which a unit names it and from which it is made again. Where it also has `check(n_layers, n_heads)`, that is called before a run.
"""

from mechdyn.schedules.chosen import ByStep as ByStep
from mechdyn.schedules.chosen import Dynamic as Dynamic
from mechdyn.schedules.chosen import NoAblation as NoAblation
from mechdyn.schedules.chosen import Static as Static
from mechdyn.schedules.controls import RandomHeads as RandomHeads
from mechdyn.schedules.controls import SizeMatched as SizeMatched
from mechdyn.schedules.protocol import SCHEDULES as SCHEDULES
from mechdyn.schedules.protocol import Observation as Observation
from mechdyn.schedules.protocol import Schedule as Schedule
from mechdyn.schedules.protocol import schedule as schedule
from mechdyn.schedules.protocol import schedule_from_json as schedule_from_json
from mechdyn.schedules.protocol import schedule_from_spec as schedule_from_spec
