"""The command `deepspace`. What a command needs is imported when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="deepspace",
    help="Search neural architectures and the recipes that train them, together.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

BAD_INPUT = 2
INTERRUPTED = 130

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a search.")]
Storage = Annotated[str, typer.Option(metavar="S", help="Folder or URI of the runs.")]
OwnStorage = Annotated[str | None, typer.Option("--storage", metavar="S", help="Folder or URI of the runs.")]
Tracking = Annotated[str | None, typer.Option(metavar="URI", help="MLflow store, or none.")]
Address = Annotated[str | None, typer.Option(metavar="auto|HOST:PORT", help="A Ray cluster; without it a local Ray.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def search(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A search file (YAML).")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change the file; relative paths belong to this folder."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="N", help="Name of the run; must be free.")] = None,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Trials to start.")] = None,
    address: Address = None,
    storage: OwnStorage = None,
    tracking: Tracking = None,
) -> int:
    """Run a search."""
    from cluster.commands import run

    return run.search(file, sets or [], name, trials, address, storage, tracking)


@app.command()
def resume(
    name: Name,
    trials: Annotated[str | None, typer.Option(metavar="+N", help="Trials to add; N: trials in all.")] = None,
    address: Address = None,
    storage: Storage = "runs",
    tracking: Tracking = None,
) -> int:
    """Go on with a search that was stopped, killed or has ended."""
    from cluster.commands import run

    return run.resume(name, trials, address, storage, tracking)


@app.command()
def retrain(
    name: Name,
    trial: Annotated[str | None, typer.Option(metavar="ID", help="A trial of it; without it the best.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change what is trained, or for how long."),
    ] = None,
    address: Address = None,
    storage: Storage = "runs",
    tracking: Tracking = None,
) -> int:
    """Train what a search has found from scratch, larger and longer where told."""
    from cluster.commands import run

    return run.retrain(name, trial, sets or [], address, storage, tracking)


@app.command()
def stop(name: Name, storage: Storage = "runs", tracking: Tracking = None) -> int:
    """Stop a search that runs; its state is saved."""
    from cluster.commands import run

    return run.stop(name, storage, tracking)


@app.command()
def show(name: Name, as_json: Json = False, storage: Storage = "runs", tracking: Tracking = None) -> int:
    """Show where a search stands."""
    from cluster.commands import look

    return look.show(name, as_json, storage, tracking)


@app.command()
def report(
    name: Name,
    out: Annotated[str | None, typer.Option("-o", "--out", metavar="DIR", help="Folder to write to.")] = None,
    storage: Storage = "runs",
    tracking: Tracking = None,
) -> int:
    """Write the report of a search: one HTML file, and its figures."""
    from cluster.commands import look

    return look.report(name, out, storage, tracking)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(metavar="spaces|controllers|blocks|tricks|tasks|pruners")],
    as_json: Json = False,
) -> int:
    """List what a search file can name."""
    from cluster.commands import catalogue

    return catalogue.list_kinds(what, as_json)


@app.command()
def inspect(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help="A reference architecture, a JSON file, or a space.")],
    input_: Annotated[str | None, typer.Option("--input", metavar="CxHxW", help="Shape of one input.")] = None,
    outputs: Annotated[int | None, typer.Option(metavar="N", help="Number of classes.")] = None,
    as_json: Json = False,
    draw: Annotated[str | None, typer.Option(metavar="FILE", help="Draw it into an SVG or PNG file.")] = None,
) -> int:
    """Show what an architecture costs, or how large a space is."""
    from cluster.commands import inspection

    return inspection.inspect(arch, input_, outputs, as_json, draw)


@app.command()
def ui(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Open this search's experiment.")] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="Port; without it the first free one.")] = None,
    storage: Storage = "runs",
    tracking: Tracking = None,
) -> int:
    """Open MLflow's pages on the store in use, for this machine alone."""
    from cluster.commands import look

    return look.ui(name, port, storage, tracking)


def call(arguments: list[str]) -> int:
    """Runs one command and returns its exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    usage_error: Any = typer.BadParameter.__mro__[1]
    try:
        code = app(arguments or ["--help"], standalone_mode=False, prog_name="deepspace")
    except usage_error as error:
        return _refused(f"deepspace: {error.format_message()}", BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        from cluster.refusals import refusal

        if (found := refusal(error)) is None:
            raise
        return _refused(*found)
    return code if isinstance(code, int) else 0


def _refused(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def main() -> None:
    """The console command."""
    # A user's own tasks lie where the command is typed, as with `python -m`.
    sys.path.insert(0, os.getcwd())
    sys.exit(call(sys.argv[1:]))


if __name__ == "__main__":
    main()
