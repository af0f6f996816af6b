"""What a finished run came to: a class a kind of run. `mechdyn.runs.read` reads them, `mechdyn.reports.sections` draws them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mechdyn.claims.sensitivity import SensitivityCell
from mechdyn.evidence import Verdict
from mechdyn.paper.parts import ABLATION, CORRELATIONS, DYNAMIC_RAG, PROBES, PROGRESSIVE, SENSITIVITY
from mechdyn.probes.report import Report
from mechdyn.runs.detect import Detected
from mechdyn.runs.registered import Standing
from mechdyn.stats.cca_offsets import CCAResult
from mechdyn.stats.interval import Interval
from mechdyn.studies.conditions import Detection
from mechdyn.studies.follows import Follows
from mechdyn.studies.grid import GridRow
from mechdyn.studies.lagged_effect import EffectRow
from mechdyn.studies.modes import ModesTable
from mechdyn.studies.progressive import ProgressivePoint
from mechdyn.studies.rag import RagRow
from mechdyn.traces.stored import StoredTrace

if TYPE_CHECKING:
    from mechdyn.runs.improve import Improved


@runtime_checkable
class Content(Protocol):
    """What a run came to."""

    @property
    def measures(self) -> frozenset[str]:
        """What was measured, in the words of `mechdyn.paper.parts`."""
        ...


@dataclass(frozen=True, eq=False)
class Judged:
    """A claim's verdict: judged `again` from the traces, or as recorded; `changed` names what came out otherwise than recorded.

    `unchanged` says that it is as recorded since criteria, units and traces are those that it was judged by.

    `verdict` is None where the folder was made by `mechdyn correlations` or `mechdyn probe` alone. What these measured: `correlations` by
    offset, `probes` by name. `registered` says whether what it was judged by was fixed before the first trace.
    """

    verdict: Verdict | None
    again: bool
    changed: tuple[str, ...]
    correlations: CCAResult | None
    probes: Mapping[str, Mapping[str, Report]]
    registered: Standing | None = None
    unchanged: bool = False

    @property
    def measures(self) -> frozenset[str]:
        found = {CORRELATIONS: self.correlations is not None, PROBES: bool(self.probes)}
        return frozenset({name for name, there in found.items() if there} | ({self.verdict.claim} if self.verdict else set()))


@dataclass(frozen=True, eq=False)
class AblationTable:
    """An ablation grid."""

    rows: tuple[GridRow, ...]
    detection: Detection
    effects: tuple[EffectRow, ...] = ()
    measures: frozenset[str] = frozenset({ABLATION})


@dataclass(frozen=True, eq=False)
class ModesOfList:
    """One list of heads off in several modes."""

    table: ModesTable
    measures: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Points:
    """Progressive ablation, by commit rule."""

    points: Mapping[str, tuple[ProgressivePoint, ...]]
    measures: frozenset[str] = frozenset({PROGRESSIVE})


@dataclass(frozen=True, eq=False)
class Settings:
    """A sensitivity grid."""

    cells: tuple[SensitivityCell, ...]
    measures: frozenset[str] = frozenset({SENSITIVITY})


@dataclass(frozen=True, eq=False)
class FollowedSets:
    """What the sets follow; `carried` by (fitted on, tried on), as recorded."""

    found: Follows
    carried: Mapping[tuple[str, str], Interval]
    measures: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Strategies:
    """Dynamic RAG, from the logs of its answers; the other fields are those of `Judged`."""

    rows: tuple[RagRow, ...]
    verdict: Verdict
    again: bool
    changed: tuple[str, ...]
    registered: Standing | None = None
    measures: frozenset[str] = frozenset({DYNAMIC_RAG})


@dataclass(frozen=True, eq=False)
class DetectedList:
    """A list of heads, as recorded: which samples count hangs on texts that traces do not hold."""

    found: Detected
    measures: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class EvaluatedVariants:
    """What improves a model, before and after, as recorded: answers are kept as text, not as traces."""

    found: "Improved"
    measures: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Single:
    """One trace."""

    trace: StoredTrace
    measures: frozenset[str] = frozenset()
