"""The report of a search: the best candidate, learning curves, and what random draws would have found."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.history import TrialRow
from cluster.standing import Standing, clock_text, number_text
from search_spaces.spec import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST_SHARE = 4
FIRST_LEAST = 8
BOLD_CURVES = 5
FAINT_CURVES = 400
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .6rem 0; }
td, th { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; color: #55606e; } td.n { font-variant-numeric: tabular-nums; }
img, svg { max-width: 100%; height: auto; } p.note { color: #55606e; max-width: 46rem; }
pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; }
"""


@dataclass(frozen=True)
class Winner:
    """The best candidate as the report shows it.

    Args:
        spec: The realized candidate.
        picture: Its architecture as SVG, or None.
        prediction: What it predicts as PNG, or None.
    """

    spec: Any
    picture: str | None = None
    prediction: bytes | None = None


def best_so_far(scores: Sequence[float]) -> list[float]:
    """Returns the greatest of the first 1, 2, ... scores."""
    return [float(value) for value in np.maximum.accumulate(np.asarray(scores, dtype=float))] if scores else []


def expected_best(scores: Sequence[float], draws: int) -> list[float]:
    """Returns the expected greatest of 1, 2, ... `draws` draws, with replacement, from `scores`.

    Args:
        scores: What random candidates were worth, greater is better.
        draws: Up to how many draws.

    Paper: Dodge et al., 2019, arXiv 1909.03004, equations 2 to 7.
    """
    ordered, count = np.sort(np.asarray(scores, dtype=float)), len(scores)
    below = np.arange(count + 1) / count
    return [float((ordered * np.diff(below**k)).sum()) for k in range(1, draws + 1)]


def write(standing: Standing, name: str, out: Path, winner: Winner | None, tracking: str | None = None) -> Path:
    """Writes `report.html`, which needs nothing else, and its figures as PNG.

    Args:
        standing: The search, read to its end.
        name: Its name.
        out: Folder to write to.
        winner: The best candidate; None: there is none yet.
        tracking: The search's MLflow store; None: it goes without.

    Returns:
        The HTML file.
    """
    out.mkdir(parents=True, exist_ok=True)
    images = figures(standing)
    for title, image in images.items():
        (out / f"{title}.png").write_bytes(image)
    page = out / "report.html"
    page.write_text(_page(standing, name, images, winner, tracking), encoding="utf-8")
    return page


def figures(standing: Standing) -> dict[str, bytes]:
    """Returns the curves of a search as PNG: `search`, and `learning` where trials report more than once.

    Args:
        standing: The search, read to its end.
    """
    drawn = {"search": _search_figure(standing), "learning": _learning_figure(standing)}
    return {title: _png(figure) for title, figure in drawn.items() if figure is not None}


def random_part(count: int) -> int:
    """Returns how many of a run's first trials stand for random draws: a quarter, at least eight."""
    return min(count, max(FIRST_LEAST, count // FIRST_SHARE))


def _valued(standing: Standing) -> list[tuple[TrialRow, float]]:
    rows = [(row, standing.value(row)) for row in sorted(standing.ranked(), key=lambda row: row.trial_id)]
    return [(row, value) for row, value in rows if value is not None]


def _search_figure(standing: Standing) -> Figure | None:
    values = [value for _, value in _valued(standing)]
    if not values:
        return None
    objective = standing.objectives[0]
    sign, count = objective.score(1.0), len(values)
    first = random_part(count)
    numbers = range(1, count + 1)
    found = sign * np.array(best_so_far([sign * value for value in values]))
    random = sign * np.array(expected_best([sign * value for value in values[:first]], count))
    figure, axes = _axes(f"Search: {objective.metric}", "trial", objective.metric)
    axes.plot(numbers, values, "o", color="#9aa7b5", markersize=4, label="trials")
    axes.plot(numbers, random, "--", color="#c8691c", label=f"expected best of random draws from the first {first}")
    axes.step(numbers, found, where="post", color="#1f5fa8", linewidth=2, label="best so far")
    axes.legend(frameon=False)
    return figure


def _learning_figure(standing: Standing) -> Figure | None:
    metric = standing.objectives[0].metric
    curves = [(row, row.series[metric]) for row in standing.rows if len(row.series.get(metric, ())) > 1]
    if not curves:
        return None
    figure, axes = _axes("Learning curves", "step", metric)
    bold = {row.trial_id: place for place, row in enumerate(standing.ranked()[:BOLD_CURVES])}
    shown = max(1, len(curves) // FAINT_CURVES)
    for row, series in [curve for i, curve in enumerate(curves) if i % shown == 0 or curve[0].trial_id in bold]:
        steps = range(1, len(series) + 1)
        if row.trial_id in bold:
            label = f"{row.trial_id}: {number_text(standing.value(row))}"
            axes.plot(steps, series, color=f"C{bold[row.trial_id]}", linewidth=2, label=label, zorder=3)
        else:
            axes.plot(steps, series, color="#c3ccd6", linewidth=0.8)
    if bold:
        axes.legend(frameon=False)
    return figure


def _axes(title: str, across: str, up: str) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _page(
    standing: Standing, name: str, images: Mapping[str, bytes], winner: Winner | None, tracking: str | None
) -> str:
    parts = [f"<h1>{html.escape(name)}</h1>", _summary(standing, tracking)]
    if (best := standing.best) is not None:
        parts.append(_best(standing, best, winner))
    if "search" in images:
        first = random_part(len(_valued(standing)))
        note = (
            f"The dashed line is the best value to expect after as many random draws from the values of this run's "
            f"first {first} trials. It can exceed none of those {first}: where the solid line is above it, "
            f"the search found more than its own beginning would have."
        )
        parts += ["<h2>Search</h2>", _image(images["search"], "search"), f'<p class="note">{note}</p>']
    if "learning" in images:
        parts += ["<h2>Learning curves</h2>", _image(images["learning"], "learning")]
    if failures := standing.failures():
        rows = [(str(group.count), group.reason, group.trial_id) for group in failures]
        parts += ["<h2>Failures</h2>", _table(("trials", "reason", "for example"), rows)]
    title, body = html.escape(name), "\n".join(parts)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f"<!doctype html>\n<html><head>{head}</head><body>\n{body}\n</body></html>\n"


def _summary(standing: Standing, tracking: str | None) -> str:
    state = standing.state()
    goals = "; ".join(f"{goal.metric} ({goal.mode}, {goal.of})" for goal in standing.objectives)
    rows = [
        ("trials", state.trials or "none yet"),
        ("objectives", goals),
        ("active time", clock_text(standing.seconds)),
        ("state", str(state)),
        ("MLflow", tracking or "none"),
    ]
    return _table((), rows)


def _best(standing: Standing, best: TrialRow, winner: Winner | None) -> str:
    figures = {**best.metrics, **standing.finals.get(best.trial_id, {})}
    chosen = [(path, number_text(value)) for path, value in best.candidate.items()]
    parts = [
        f"<h2>Best candidate: {best.trial_id}</h2>",
        _table((), [(metric, number_text(value)) for metric, value in sorted(figures.items())]),
        "<h2>What was chosen</h2>",
        _table((), chosen),
    ]
    if winner is not None:
        parts.append(winner.picture or "")
        if winner.prediction is not None:
            parts += ["<h2>What it predicts</h2>", _image(winner.prediction, "predictions")]
        text = html.escape(json.dumps(plain(winner.spec), indent=1))
        parts.append(f"<details><summary>The whole specification</summary><pre>{text}</pre></details>")
    return "\n".join(parts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{html.escape(head)}</th>" for head in heads) + "</tr>"] if heads else []
    for first, *rest in rows:
        cell = f"<td>{html.escape(first)}</td>" if heads else f"<th>{html.escape(first)}</th>"
        lines.append(f"<tr>{cell}{''.join(f'<td class=n>{html.escape(item)}</td>' for item in rest)}</tr>")
    return "<table>" + "".join(lines) + "</table>"


def _image(image: bytes, title: str) -> str:
    return f'<img alt="{title}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'
