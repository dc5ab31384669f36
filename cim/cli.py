"""The command ``cim``: thin words over the library; every command loads only what it needs.

Exit codes: 0 done; 1 the check or run failed and the report says why; 2 wrong usage; 3 an input cannot be used; 130 stopped with Ctrl-C.
``--json`` prints one JSON document on standard output and nothing else there; its schemas are in ``docs/schemas``.
"""

from __future__ import annotations

import json
import math
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cim import __version__, plugins
from cim.errors import CimError, FormatError, InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa

    from cim.loaders.update import Update
    from cim.model import City
    from cim.results import Comparison, Fields, Verdicts
    from cim.scenario import Scenario
    from cim.scenes import Scene

__all__ = ["app", "main"]

app = typer.Typer(
    name="cim",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="City information models 城市信息模型: from real files to one semantic model, checks, what-if runs and 3D scenes.",
)
new_app = typer.Typer(no_args_is_help=True, help="Draft a build file from a folder, or a scenario file.")
app.add_typer(new_app, name="new")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Store = Annotated[Path, typer.Argument(help="A city: a .cim folder, or any file a reader takes.")]
Crs = Annotated[str | None, typer.Option(help="CRS of a source file that states none, such as EPSG:4549, or local.")]
Out = Annotated[Path, typer.Option("-o", "--output", help="Where to write.")]


_STOPPED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line on arguments and return its exit code; errors become one line on standard error.

    Examples
    --------
    >>> run(["info", "no such city"])
    3
    """
    words = [word for word in arguments if word != "--debug"]
    try:
        _add_foreign_commands()
        code = app(words, standalone_mode=False)
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = _STOPPED
    except BrokenPipeError:  # the reader of our output went away: nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if "--debug" in arguments:
            raise
        code = _explain(error)
    if code == _STOPPED:  # typer catches Ctrl-C inside a command and gives its code back
        _say("cim: stopped")
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    """Say what went wrong in one line and return the exit code for it."""
    if isinstance(error, CimError):
        hint = " (in a build file: [fusion] allow_ballpark = true)" if "allow_ballpark" in str(error) else ""
        _say(f"cim: {error}{hint}")
        return error.exit_code
    if hasattr(error, "format_message"):  # typer's own, for wrong usage
        text = error.format_message()
        _say(text if text.startswith("Usage") else f"cim: {text}")
        return 2
    _say(f"cim: unexpected {type(error).__name__}: {error}\nRun again with --debug for the details, and please report it.")
    return 1


def _add_foreign_commands() -> None:
    """Add the commands that other packages register under ``cim.commands``."""
    taken = {command.name for command in app.registered_commands}
    for name in plugins.available("cim.commands"):
        if name not in taken:
            app.command(name)(plugins.load("cim.commands", name))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _print_json(value: Any) -> None:
    _show(json.dumps(value, ensure_ascii=False, indent=2, default=str, allow_nan=False))


def _table(rows: Sequence[dict[str, Any]], title: str = "") -> None:
    """Print rows as a table that fits the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
    table = Table(title=title or None, title_justify="left")
    for name in rows[0] if rows else []:
        table.add_column(name, overflow="fold", justify="right" if all(isinstance(row[name], int | float) for row in rows) else "left")
    for row in rows:
        table.add_row(*("" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    console.print(table)


def _open(path: Path, version: int | None = None, *, crs: str | None = None) -> City:
    """Return a stored city, or what a reader makes of a file."""
    if path.is_dir() and path.suffix == ".cim":
        from cim.storage import open as open_city

        if crs is not None:
            msg = f"{path} is a stored city, which knows its system: leave --crs out"
            raise UsageError(msg)
        return open_city(path, version)
    if not path.exists():
        raise InputError(path, "there is no such file or folder", "give a .cim folder or a source file")
    from cim.loaders import read

    return read(path, crs)


# --------------------------------------------------------------------------------------------- drafts


@new_app.command("build")
def new_build(
    folder: Annotated[Path, typer.Argument(help="Folder with the source files.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Build file to write; its paths are relative to its folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at a folder of files and draft the build file that makes a city of them: cim new build FOLDER -o city.toml.

    The table of what each file is goes to standard error. Without -o the draft goes to standard output, with paths relative to the
    current folder.
    """
    from cim.loaders.build import draft

    if output is not None and output.exists():
        msg = f"{output} exists and may hold corrections; name a new file, or take the old one away"
        raise UsageError(msg)
    found = draft(folder)
    text = found.toml(relative_to=Path.cwd() if output is None else output.parent)
    if output is not None:
        _write(output, text)
    if as_json:
        _print_json({"folder": str(folder), "layers": found.rows(), "build": text})
        return
    _say(_rows_text(found.rows()))
    _show(text if output is None else f"{output} written; correct it, then: cim build {output} -o city.cim")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be written ({error.strerror or error}); check the folder and the rights"
        raise UsageError(msg) from error


def _rows_text(rows: Sequence[dict[str, Any]]) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    text = StringIO()
    Console(file=text, width=170).print(table)
    return text.getvalue()


@new_app.command("scenario")
def new_scenario(kind: Annotated[str, typer.Argument(help="What to run, such as planning or inundation.")] = "planning") -> None:
    """Print a commented scenario file to fill in: cim new scenario inundation > storm.toml."""
    from cim.scenario import template

    _show(template(kind))


# --------------------------------------------------------------------------------------------- cities


@app.command()
def build(
    file: Annotated[Path, typer.Argument(help="Build file (TOML).")],
    output: Out = Path("city.cim"),
    skip_bad: Annotated[bool, typer.Option(help="Leave out sources that cannot be used, with an issue, instead of stopping.")] = False,
    as_json: Json = False,
) -> None:
    """Make a city from the sources a build file names, and print the fusion report."""
    from cim.loaders.build import build as run_build
    from cim.storage import save

    city = run_build(file, skip_bad=skip_bad)
    save(city, output, message=f"built from {file.name}")
    if as_json:
        _print_json(_facts(city, output))
        return
    _show(city.report.text())
    _show(f"{output}: {len(city):,} objects in {city.crs.to_string()}")


@app.command()
def update(
    path: Annotated[Path, typer.Argument(help="A city: a .cim folder.")],
    source: Annotated[list[str] | None, typer.Option(help="Name or path of a source to look at; all without it.")] = None,
    at: Annotated[list[str] | None, typer.Option(help="NAME=PATH: where the file of a source lies now.")] = None,
    end: Annotated[bool, typer.Option(help="Objects no source knows any longer stay, with the end of their validity noted.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change and write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Read the sources that changed again, keep the ids and claims of everything else, and list the difference."""
    from cim.loaders.update import update as run_update
    from cim.storage import save

    if not (path.is_dir() and path.suffix == ".cim"):
        raise InputError(path, "is no city store", "give a .cim folder; cim build makes one")
    city = _open(path)
    places: dict[str, str] = dict.fromkeys(source or [], "") | _places(at or [])
    found = run_update(city, sources=(places if at else list(places)) if places else None, removed="end" if end else "drop")
    version = None
    if found.read and not dry_run:
        _still(path, city)
        version = save(found.city, path, message=f"cim update: {found.text()}")
    if as_json:
        _print_json(_update_facts(path, found, version))
        return
    if found.changes.num_rows:
        shown = found.changes.slice(0, _MOST_SHOWN).to_pandas()
        _show(shown.to_string(index=False, na_rep=""))
    if found.changes.num_rows > _MOST_SHOWN:
        _show(f"and {found.changes.num_rows - _MOST_SHOWN:,} more rows; --json gives all of them")
    for issue in found.issues.to_pylist():
        _show(f"{issue['severity']} ({issue['code']}): {issue['message']}")
    _show(f"{path}: {found.text()}" + (f"; version {version}" if version else "; nothing written" if found.read else ""))


def _places(words: Sequence[str]) -> dict[str, str]:
    """Return NAME=PATH words as a mapping."""
    wrong = [word for word in words if not all(word.partition("="))]
    if wrong:
        msg = f"--at {wrong[0]!r} is not NAME=PATH; give the name of a source and where its file lies now"
        raise UsageError(msg)
    return {name: place for name, _, place in (word.partition("=") for word in words)}


def _still(path: Path, city: City) -> None:
    """Refuse to save over a version that came between."""
    from cim.errors import StoreError
    from cim.storage import versions

    newest = versions(path)[-1].number
    if newest != city.version:
        msg = f"{path}: version {newest} was saved while version {city.version} was being updated; run cim update again"
        raise StoreError(msg)


def _update_facts(path: Path, found: Update, version: int | None) -> dict[str, Any]:
    """Return what `update` tells."""
    return {
        "path": str(path), "version": version, "read": list(found.read), "unchanged": list(found.unchanged), "missing": list(found.missing),
        "counts": found.counts(), "changes": found.changes.to_pylist(),
        "issues": [{name: row[name] for name in ("code", "severity", "count", "message")} for row in found.issues.to_pylist()],
    }  # fmt: skip


@app.command()
def info(path: Store, crs: Crs = None, as_json: Json = False) -> None:
    """Say what a city (or any source file) holds: counts by class, CRS, extent, sources, issues, files."""
    city = _open(path, crs=crs)
    facts = _facts(city, path)
    if as_json:
        _print_json(facts)
        return
    _show(f"{facts['name'] or path}  {facts['objects']:,} objects  {facts['crs']}  vertical: {facts['vertical']}")
    if facts["extent"]:
        _show("extent " + ", ".join(f"{value:,.3f}" for value in facts["extent"]) + f" [{facts['extent_unit']}] (west, south, east, north)")
    _table([{"class": name, "objects": count} for name, count in facts["classes"].items()])
    if facts["networks"]:
        said = [{**one, "length": "unknown" if one["length"] is None else f"{one['length'] / 1000:,.3f} km"} for one in facts["networks"]]
        _table(said, "networks")
    if facts["sources"]:
        _table(
            [
                {key: source[key] for key in ("name", "format", "records_in", "objects_out", "rejected", "repaired")}
                for source in facts["sources"]
            ],
            "sources",
        )
    if facts["issues"]:
        _table(facts["issues"], "issues")
    if facts["versions"]:
        _table(facts["versions"], "versions")


def _facts(city: City, path: Path) -> dict[str, Any]:
    """Return what `info` tells."""
    extent = [value for value in city.bounds if math.isfinite(value)]
    report = city.report
    stored = path.is_dir() and path.suffix == ".cim"
    return {
        "path": str(path),
        "name": city.name,
        "objects": len(city),
        "classes": city.types(),
        "networks": _networks(city),
        "crs": city.crs.to_string(),
        "vertical": city.crs.vertical.name if city.crs.vertical is not None else "unknown",
        "time_zone": city.time_zone,
        "extent": extent or None,
        "extent_unit": "m" if city.crs.is_projected else "degree",
        "sources": json.loads(report.sources.to_json(orient="records", force_ascii=False)),
        "issues": json.loads(report.issues.to_json(orient="records", force_ascii=False)),
        "versions": _versions(path) if stored else [],
        "files": _parts(path, city.version) if stored else [],
    }


def _networks(city: City) -> list[dict[str, Any]]:
    """Return what each network has: links, objects that own them, and their length [m], None where no link states one."""
    links = city.tables.scan("links", ["network", "object", "length"])
    found = links.group_by("network").aggregate([([], "count_all"), ("object", "count_distinct"), ("length", "sum")]).sort_by("network")
    rows = zip(*(found[name].to_pylist() for name in ("network", "count_all", "object_count_distinct", "length_sum")), strict=True)
    return [{"network": name, "links": many, "objects": objects, "length": length} for name, many, objects, length in rows]


def _versions(path: Path) -> list[dict[str, Any]]:
    from cim.storage import versions

    found = versions(path)
    return [{"version": one.number, "saved": one.saved_at.isoformat(), "objects": one.objects, "message": one.message} for one in found]


def _parts(path: Path, version: int | None) -> list[dict[str, Any]]:
    from cim.storage import parts

    return [{"file": part.path, "table": part.name, "rows": part.rows, "bytes": part.bytes} for part in parts(path, version)]


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A city, a build file or a scenario file.")],
    bytes_: Annotated[bool, typer.Option("--bytes", help="Read every file of the city and compare its checksum.")] = False,
    as_json: Json = False,
) -> None:
    """Find every fault of a city, build file or scenario file, and list them in one message.

    A scenario is also held against its city: ids that its changes name, and plots, which a planning check needs.
    """
    faults = _faults(path, bytes_=bytes_)
    if as_json:
        _print_json({"path": str(path), "faults": faults})
    elif faults:
        _show(f"{path}: {len(faults)} fault{'s' if len(faults) != 1 else ''}\n" + "\n".join(f"  {fault}" for fault in faults))
    else:
        _show(f"{path}: no fault found" + (", every byte read" if bytes_ else ""))
    if faults:
        raise typer.Exit(1)


def _faults(path: Path, *, bytes_: bool) -> list[str]:
    if path.is_dir() and (path.suffix == ".cim" or (path / "manifests").is_dir()):
        from cim.storage import check as check_store

        return [str(fault) for fault in check_store(path, bytes=bytes_)]
    if path.suffix == ".toml":
        return _toml_faults(path)
    _open(path)
    return []


def _toml_faults(path: Path) -> list[str]:
    import tomllib

    if not path.is_file():
        raise InputError(path, "there is no such file")
    try:
        keys = set(tomllib.loads(path.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [f"not TOML: {error}"]
    if "source" in keys:
        from cim.loaders.build import check_build

        return check_build(path)
    return _scenario_faults(path)


def _scenario_faults(path: Path) -> list[str]:
    """Return the faults of the text and, of what they leave, those that only its city shows."""
    from cim.scenario import draft
    from cim.sim.run import check_scenario

    plan, found = draft(path)
    faults = [str(fault) for fault in found]
    if plan is None:
        return faults
    try:
        return [*faults, *check_scenario(plan, _open(plan.city))]
    except CimError as error:
        if not faults:
            raise
        return [*faults, f"city: {error}"]


@app.command()
def compact(path: Store, keep: Annotated[int, typer.Option(min=1, help="Versions to keep.")] = 1, as_json: Json = False) -> None:
    """Drop old versions of a city and the files only they used."""
    from cim.storage import compact as compact_store

    done = compact_store(path, keep=keep)
    if as_json:
        _print_json(done.__dict__ if hasattr(done, "__dict__") else str(done))
    else:
        _show(str(done))


class Format(StrEnum):
    """Formats a city is exported to."""

    cityjson = "cityjson"
    cityjsonseq = "cityjsonseq"
    geopackage = "geopackage"
    geoparquet = "geoparquet"
    gltf = "gltf"
    xlsx = "xlsx"


class Language(StrEnum):
    """Languages of titles."""

    zh = "zh"
    en = "en"


@app.command()
def export(
    path: Store,
    to: Annotated[Format, typer.Option(help="Format.")],
    output: Out,
    language: Annotated[Language, typer.Option(help="Language of the titles in xlsx.")] = Language.zh,
    grade: Annotated[str | None, typer.Option(help="Highest data grade that may leave, such as public or 公开; all without it.")] = None,
    k: Annotated[int, typer.Option(help="Least count of persons that is shown; totals that reveal a smaller one go too.", min=0)] = 10,
    lod: Annotated[str | None, typer.Option(help="Level of detail for cityjson and gltf, such as 2.2; gltf takes the finest.")] = None,
    crs: Crs = None,
    as_json: Json = False,
) -> None:
    """Write a city for other programs, and say what was left out and what the format cannot hold."""
    from cim.loaders.export import export_city

    report = export_city(_open(path, crs=crs), to.value, output, language=language.value, grade=grade, k=k, lod=lod)
    if as_json:
        _print_json({"path": str(output), "format": to.value, "lost": report.rows()})
        return
    _show(f"{output} written as {to.value}")
    if report.rows():
        _table(report.rows(), "left out, or not held by the format")


# --------------------------------------------------------------------------------------------- runs


@app.command("run")
def run_scenario(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (TOML).")],
    output: Out = Path("runs/run"),
    cluster: Annotated[str | None, typer.Option(help='Members side by side: "local", or the address of a Dask scheduler.')] = None,
    workers: Annotated[int | None, typer.Option(help="Workers with --cluster local; as many as processors without it.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Run the checks and simulations of a scenario file; one folder of results each.

    With axes or options it is an ensemble: each member gets a folder, what is done already is kept, and one result sums all of them up.
    """
    from cim.scenario import read_scenario
    from cim.sim.run import run as run_all

    try:
        plan = read_scenario(scenario)
    except FormatError as error:
        listed = "\n  ".join(_scenario_faults(scenario))
        raise FormatError(scenario, f"the scenario has faults:\n  {listed}") from error
    if plan.axes or plan.options:
        _run_ensemble(plan, output, cluster, workers, as_json=as_json)
        return
    if cluster is not None or workers is not None:
        msg = f"{scenario} has neither axes nor options: it is one run, and needs no cluster; leave --cluster and --workers out"
        raise UsageError(msg)
    city = _open(plan.city)
    results = run_all(plan, output, city=city)
    rows = [{"result": result.name, "summary": repr(result), "folder": str(output / result.name), **_told(result)} for result in results]
    issues = json.loads((output / "run.json").read_text(encoding="utf-8"))["issues"]
    if as_json:
        _print_json({"scenario": str(scenario), "output": str(output), "results": rows, "issues": issues})
        return
    from cim.results import result_text
    from cim.results.listed import listed as lists_of
    from cim.results.runs import zone_of

    _table([{name: row[name] for name in ("result", "summary", "folder")} for row in rows], str(scenario))
    zone = zone_of(output)
    names = _names(city, {row[0] for result in results for one in lists_of(result) for row in one.rows})
    for result in results:
        _show(result_text(result, str(output / result.name / "result.json"), zone=zone, names=names))
    for issue in issues:
        _show(f"{issue['severity']} ({issue['code']}): {issue['message']}")


def _names(city: City, ids: Collection[str]) -> dict[str, str]:
    """Return the names of those objects that have one, by id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    named = city.tables.scan("objects", ["id", "name"], pc.field("name").is_valid() & pc.field("id").isin(pa.array(list(ids), pa.string())))
    return dict(zip(named["id"].to_pylist(), named["name"].to_pylist(), strict=True))


def _told(result: Verdicts | Fields) -> dict[str, Any]:
    """Return the main figures of a result, the ledger of a flood, and all that was assumed."""
    from cim.results import main_figures, mass_ledger

    figures, ledger = ([dict(vars(one)) for one in found] for found in (main_figures(result), mass_ledger(result)))
    return {"figures": figures, "ledger": ledger, "notes": list(result.run.assumptions)}


def _run_ensemble(plan: Scenario, output: Path, cluster: str | None, workers: int | None, *, as_json: bool) -> None:
    """Run the members of a scenario and say what became of them; exit 1 when one failed."""
    from cim.sim import ensemble

    made = ensemble.run(plan, output, cluster=cluster, workers=workers, city=None if plan.city.suffix == ".cim" else _open(plan.city))
    rows = [{"table": name, "rows": table.num_rows} for name, table in made.fields.tables.items()]
    if as_json:
        members = {"done": {name: str(folder) for name, folder in made.members.items()}, "failed": dict(made.failed)}
        notes = list(made.fields.run.assumptions)
        _print_json(
            {"scenario": plan.name, "output": str(output), "base": made.base, "ran": made.ran, **members, "tables": rows, "notes": notes}
        )
    else:
        _table(rows, repr(made)[1:-1])
        _show("\n".join(made.fields.run.assumptions))
        for name, error in made.failed.items():
            _say(f"{name} failed: {error}")
    if made.failed:
        raise typer.Exit(1)


@app.command()
def compare(
    base: Annotated[Path, typer.Argument(help="Run folder, result folder or city of the base case.")],
    option: Annotated[Path, typer.Argument(help="The same of the option.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Excel file to write the differences to.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Folder to write all rows to, one CSV file per table.")] = None,
    relative: Annotated[float, typer.Option(min=0, help="Numbers within this share of their size are the same.")] = 1e-6,
    absolute: Annotated[float, typer.Option(min=0, help="So are those within this many m, m/s, m³, s and the like.")] = 1e-3,
    as_json: Json = False,
) -> None:
    """Compare two runs object by object, or two cities.

    Main figures side by side come first, then the largest changes of each table. Gauges, sections and structures are compared at common
    times: the option is interpolated linearly at the times of the base.
    """
    if base.suffix == ".cim" and option.suffix == ".cim":
        from cim.model import diff

        frame = diff(_open(base), _open(option)).to_pandas()
        _print_json(json.loads(frame.to_json(orient="records", force_ascii=False))) if as_json else _show(frame.to_string(index=False))
        return
    from cim.results import Tolerance, compare_runs, comparison_text, load_result, to_csv
    from cim.results import compare as compare_results
    from cim.results.runs import zone_of

    tolerance = Tolerance(relative, absolute)
    if (base / "result.json").is_file():
        one = compare_results(load_result(base), load_result(option), tolerance=tolerance)
        compared = {one.name: one}
    else:
        compared = compare_runs(base, option, tolerance=tolerance)
    written = [] if output is None else _workbooks(compared, output)
    if csv is not None:
        written += [path for one in compared.values() for path in to_csv(one, csv)]
    if as_json:
        _print_json([{"name": name, **_json_comparison(one)} for name, one in compared.items()])
    else:
        for one in compared.values():
            _show(comparison_text(one, zone_of(base)))
    for path in written:
        (_say if as_json else _show)(f"{path} written")


def _workbooks(compared: dict[str, Comparison], output: Path) -> list[Path]:
    """Write each comparison as an Excel file, named after the result where there are several, and return the paths."""
    from cim.results import to_excel

    output.parent.mkdir(parents=True, exist_ok=True)
    if len(compared) == 1:
        return [to_excel(one, output) for one in compared.values()]
    return [to_excel(one, output.with_name(f"{output.stem}-{name}{output.suffix}")) for name, one in compared.items()]


def _json_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values; ``rows`` is its first table (none for a comparison of fields only)."""
    tables = {name: _json_rows(table) for name, table in comparison.tables.items()}
    return {
        "rows": next(iter(tables.values()), []),
        "tables": tables,
        "figures": _json_rows(comparison.figures),
        "series": {name: _json_rows(table) for name, table in comparison.series.items()},
        "notes": list(comparison.warnings),
        "tolerance": dict(vars(comparison.tolerance)),
    }


def _json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table as plain rows, ids and all."""
    rows: list[dict[str, Any]] = json.loads(
        table.to_pandas().to_json(orient="records", force_ascii=False, date_format="iso", double_precision=15)
    )
    return rows


_MOST_SHOWN = 200
"""Changed objects of an update that are printed for people [rows]."""


# --------------------------------------------------------------------------------------------- pictures and the rest


@app.command()
def render(
    path: Store,
    output: Out = Path("scene.html"),
    run_folder: Annotated[Path | None, typer.Option("--run", help="Run folder whose results are drawn.")] = None,
    color_by: Annotated[str | None, typer.Option(help="Attribute that colours the buildings; by class without it.")] = None,
    language: Annotated[str, typer.Option(help="en, zh or both.")] = "both",
    title: Annotated[str | None, typer.Option(help="Title of the picture.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Time shown: number, instant (in the zone of the city without one) or maximum; else the peak.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Times shown in a second of a film.")] = 5.0,
    crs: Crs = None,
) -> None:
    """Draw a city as a picture (.png), as a page to click in (.html), or as a film of a run over time (.mp4, .webp, .gif, .apng)."""
    from cim.scenes.film import FORMATS, encoder

    ending = output.suffix.lower()
    if ending not in {".png", ".html", *FORMATS}:
        msg = f"{output} ends in {output.suffix or 'nothing'}; give a name that ends in .png, .html, {', '.join(FORMATS)}"
        raise UsageError(msg)
    if ending in FORMATS:
        encoder(output)  # what cannot be written is said before anything is drawn
    city = _open(path, crs=crs)
    from cim.scenes import Scene

    found = [] if run_folder is None else _results(run_folder)
    if run_folder is not None:
        city = _as_run(city, run_folder)
    lying = any(_is_drawn(result) for result in found)  # it lies on the ground, which therefore hides what is below
    empty = Scene(city, title=title, language=language, underground=False if lying else None)
    scene = _with_results(empty, found, coloured=bool(color_by))
    if run_folder is not None and scene is empty:
        held = f"holds {', '.join(result.name for result in found)}: tables only" if found else "holds no result"
        msg = f"{run_folder} {held}, nothing that can be drawn, so no picture was written; leave --run out to draw the city alone"
        raise UsageError(msg)
    if color_by:
        scene = scene.color_by(color_by)
    if at is not None:
        scene = scene.at(int(at) if at.removeprefix("-").isdigit() else at)
    if ending in FORMATS:
        scene.film(output, fps=fps)
    else:
        scene.html(output) if ending == ".html" else scene.screenshot(output)
    _show(str(output))


_DEPTHS = ("depth_max", "maximum_depth")
"""Columns that colour buildings, the first that a result has."""


def _results(folder: Path) -> list[Verdicts | Fields]:
    from cim.results import load_result, load_run

    return [load_result(folder)] if (folder / "result.json").is_file() else list(load_run(folder).values())


def _as_run(city: City, folder: Path) -> City:
    """Return the city as a run saw it, which says so: with the changes of its scenario, where they are not made already."""
    from cim.results import city_fingerprint
    from cim.scenario import Change

    summary = next((one for one in (folder / "run.json", folder.resolve().parent / "run.json") if one.is_file()), None)
    said = {} if summary is None else json.loads(summary.read_text(encoding="utf-8"))
    mine = city_fingerprint(city) if said.get("change") else None
    if mine is None or mine == said.get("city"):
        return city
    change = Change.from_dict(said)
    steps = ", ".join(f"{step['do']} {step.get('id', '')}".strip() for step in said["change"][:3])
    more = f" and {len(change) - 3:,} more" if len(change) > 3 else ""
    other = "" if mine == said.get("base") else "; it is not the city that the run was made on"
    try:
        changed = change.apply(city)
    except CimError as error:
        msg = f"the changes of the run cannot be made on this city{other}: {error}"
        raise UsageError(msg) from error
    _say(f"drawn with the changes of the run: {steps}{more}{other}")
    return changed


def _is_drawn(result: Verdicts | Fields) -> bool:
    """Say whether the fields of a simulation are layers of their own: water, traffic, roads under water, reach."""
    from cim.results import Fields
    from cim.scenes.building import can_draw

    return isinstance(result, Fields) and can_draw(result)


def _with_results(scene: Scene, results: list[Verdicts | Fields], *, coloured: bool) -> Scene:
    """Return the scene with what a run found: layers, and buildings coloured by the depth at them where nothing else colours them."""
    from cim.results import Verdicts

    for result in results:
        if isinstance(result, Verdicts) or _is_drawn(result):
            scene = scene.add(result)
            continue
        table = result.tables.get("buildings")
        depth = next((name for name in _DEPTHS if table is not None and name in table.column_names), None)
        if depth is not None and not coloured and any(layer.name == "buildings" for layer in scene.layers):
            scene = scene.color_by(result, table="buildings", column=depth)
        else:
            _say(f"{result.name} holds tables only and is not drawn")
    return scene


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write into.")] = Path("out"),
    seed: Annotated[int, typer.Option(help="Seed of the district.")] = 2026,
) -> None:
    """Build the demo district from its source files, check it, flood it, and draw it."""
    from cim.demo import build_demo

    build_demo(output, seed=seed, say=_show)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is missing, and what to do about it."""
    rows = _diagnosis()
    if as_json:
        _print_json(rows)
    else:
        _table(rows)
    if any(row["state"] == "missing" for row in rows):
        raise typer.Exit(1)


def _diagnosis() -> list[dict[str, str]]:
    """Return one row per part that the toolkit leans on."""
    from importlib.metadata import PackageNotFoundError, version

    needed = ("numpy", "pyarrow", "pandas", "geopandas", "shapely", "pyproj", "pyogrio", "rasterio", "laspy", "lxml", "numba",
              "pysimdjson", "duckdb", "scipy", "xarray")  # fmt: skip
    extras = {"ifcopenshell": "ifc", "osmium": "osm", "pyvista": "scenes", "pillow": "mesh", "ipykernel": "notebook"}
    rows = [{"part": "cim-toolkit", "state": "ok", "detail": f"{__version__}, Python {sys.version.split()[0]}"}]
    for name in (*needed, *extras):
        try:
            rows.append({"part": name, "state": "ok", "detail": version(name)})
        except PackageNotFoundError:
            extra = extras.get(name)
            command = f"pip install 'cim-toolkit[{extra}]'" if extra else "pip install --force-reinstall cim-toolkit"
            rows.append({"part": name, "state": "optional" if extra else "missing", "detail": command})
    return rows + _native() + _drawing()


_NO_OSGCONV = "opens OSGB tiles; on Debian: apt-get install openscenegraph"
_NO_GRIDS = "none: a height system that needs a grid is refused, never guessed"


def _native() -> list[dict[str, str]]:
    """Return the versions of the native libraries that are bundled several times over."""
    from shutil import which

    import pyogrio
    import pyproj
    import rasterio
    import shapely

    grids = Path(pyproj.datadir.get_data_dir())
    held = len(list(grids.glob("*.tif")))
    return [
        {"part": "GDAL of pyogrio", "state": "ok", "detail": pyogrio.__gdal_version_string__},
        {"part": "GDAL of rasterio", "state": "ok", "detail": rasterio.__gdal_version__},
        {"part": "GEOS", "state": "ok", "detail": shapely.geos_version_string},
        {"part": "PROJ", "state": "ok", "detail": pyproj.proj_version_str},
        {"part": "PROJ grids", "state": "ok" if held else "optional", "detail": f"{held} in {grids}" if held else _NO_GRIDS},
        {"part": "osgconv", "state": "ok" if which("osgconv") else "optional", "detail": which("osgconv") or _NO_OSGCONV},
    ]  # fmt: skip


def _drawing() -> list[dict[str, str]]:
    """Return whether this machine can draw, and in Chinese."""
    from cim.errors import DisplayError
    from cim.scenes.fonts import chinese_font
    from cim.scenes.offscreen import probe

    try:
        rows = [{"part": "drawing", "state": "ok", "detail": probe()}]
    except DisplayError as error:
        rows = [{"part": "drawing", "state": "optional", "detail": str(error)}]
    font = chinese_font()
    state, detail = ("ok", str(font)) if font else ("optional", "none: apt install fonts-wqy-microhei, or pictures have no Chinese text")
    return [*rows, {"part": "Chinese font", "state": state, "detail": detail}]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
) -> None:
    del debug  # taken out before the words come here; named so that --help shows it
    if version:
        _show(__version__)
        raise typer.Exit


if __name__ == "__main__":
    main()
