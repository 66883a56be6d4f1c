"""A table of finished evaluations as a task: what a candidate is worth is looked up, nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from search_spaces.build import Architecture
from search_spaces.errors import SpecError, unknown
from search_spaces.space import Space
from search_spaces.spec import CLASS, kinds
from search_spaces.template import expand, template
from trainers import tabular
from trainers.tabular import Tabular
from trainers.tasks.base import Task
from trainers.trial import Report, TrialContext, TrialFailed


class Table(Task):
    """Looks candidates up in a Parquet file: a table of trials of an earlier search, or a benchmark's.

    A row is an evaluation of a candidate. Of several, the seed of the trial says which is reported. With `step` a row
    is one report, and the rows of a candidate are its learning curve. A candidate that the table does not have fails.

    Args:
        path: The file.
        architecture: Column that holds an architecture as the architecture itself writes it (`to_string`), such as
            `architecture` in tables of NAS-Bench-201; the space is then an architecture, or holds it as `architecture`.
        decisions: Columns called as the decisions are; none: all columns `p:PATH`, as in `trials.parquet`.
        figures: Metric -> column; none: all columns `m:METRIC`, else all other columns of numbers by their names. A
            figure `seconds` is what the evaluation counts as its cost.
        step: Column with the number of the report.
    """

    pooled: ClassVar[tuple[str, ...]] = ("train", "retrain")

    kind: Literal["table"] = "table"
    path: str
    architecture: str | None = None
    decisions: tuple[str, ...] = ()
    figures: dict[str, str] = {}
    step: str | None = None

    def check(self) -> None:
        """Checks that one thing tells the candidates apart."""
        if self.architecture is not None and self.decisions:
            raise SpecError("the architecture or decisions tell the candidate", path="decisions", allowed="one of both")

    def template(self, data: Mapping[str, Any] | Sequence[Any]) -> Any:
        """Returns the template of a section; what has the `kind` of an architecture is one, at the top and below it."""
        expanded = expand(data)
        if (whole := _architecture(expanded)) is not None:
            return whole
        if not isinstance(expanded, Mapping) or CLASS in expanded:
            return template(expanded)
        known = {name: found for name, item in expanded.items() if (found := _architecture(item, name)) is not None}
        rest = template({name: item for name, item in expanded.items() if name not in known})
        return {name: known[name] if name in known else rest[name] for name in expanded} if known else rest

    def metrics(self) -> tuple[str, ...]:
        """Returns the names of the figures; none while the file cannot be read, which `open` refuses."""
        if self.figures:
            return tuple(self.figures)
        try:
            return tuple(self._columns().figures)
        except SpecError:
            return ()

    def open(self) -> Tabular:
        """Reads the table.

        Raises:
            DataError: It cannot be read, or has other columns.
        """
        return tabular.read(self.path, self._columns())

    def _columns(self) -> tabular.Columns:
        found = tabular.schema(self.path)
        try:
            return tabular.columns(found, self.architecture, self.decisions, self.figures, self.step)
        except SpecError as error:
            raise error.at(self.path) from None

    def fingerprint(self, data: Tabular) -> str:
        """Returns a hash of candidates and figures."""
        return data.fingerprint

    def fits(self, template: Any, data: Tabular) -> None:
        """Refuses a space whose candidates the table cannot tell.

        Raises:
            SpecError: A decision has no column or a column no decision, or the architecture has no text.
        """
        if self.architecture is not None:
            _written(template)
            return
        paths = [point.path for point in Space(template).points()]
        for path in paths:
            if path not in data.paths:
                raise unknown("decision: the table has no such column", path, data.paths)
        for path in data.paths:
            if path not in paths:
                raise SpecError("the table tells candidates apart by a decision that the space lacks", path=path)

    def run(self, spec: Any, trial: TrialContext, data: Tabular) -> Iterator[Report]:
        """Reports what the table says, as many reports as it has or the trial runs to.

        Raises:
            TrialFailed: The table has no such candidate, or no figures of it.
        """
        self.refuse_mode(trial)
        name = _text(spec) if self.architecture is not None else tabular.key(trial.candidate or {})
        curve = data.curve(name, trial.seed)
        if curve is None:
            raise TrialFailed("the table has no such candidate", 1)
        for step, figures in enumerate(curve[: trial.fidelity], start=1):
            if not figures:
                raise TrialFailed("the table has no figures of this candidate", step)
            yield Report(step, figures, done=step == len(curve))


def _architecture(data: Any, path: str = "") -> Architecture | None:
    """The architecture that a mapping of its kind stands for, or None."""
    if not isinstance(data, Mapping) or CLASS in data or data.get("kind") not in kinds(Architecture):
        return None
    try:
        return Architecture.from_data(data)
    except SpecError as error:
        raise error.at(path) from None


def _text(spec: Any) -> str:
    return str(_written(spec).to_string())


def _written(spec: Any) -> Any:
    """The architecture in a spec, which writes itself as text."""
    architecture = spec.get("architecture") if isinstance(spec, Mapping) else spec
    if not hasattr(architecture, "to_string"):
        known = [kind for kind, found in kinds(Architecture).items() if hasattr(found, "to_string")]
        rule = "only an architecture that writes itself as text is found in a column of texts"
        raise SpecError(rule, type(architecture).__name__, ", ".join(known) or "none", "architecture")
    return architecture
