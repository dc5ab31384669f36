"""Results and comparisons in words for people: what the command prints, and what a script may log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

import numpy as np
import pyarrow.compute as pc

from cim.results.columns import unit
from cim.results.figures import main_figures, mass_ledger
from cim.results.listed import MOST_LISTED, clock_text, listed
from cim.results.tolerance import within_noise

if TYPE_CHECKING:
    from datetime import tzinfo

    import pandas
    import pyarrow as pa

    from cim.results.comparison import Comparison
    from cim.results.fields import Fields
    from cim.results.figures import Figure
    from cim.results.verdicts import Verdicts

__all__ = ["change_frame", "comparison_text", "figure_rows", "number_text", "result_text", "signed_text"]

MOST_NOTES = 12
"""Assumptions that are shown [lines]."""
MOST_ROWS = 20
"""Changed rows of a table that are shown."""
_MOST_COLUMNS = 5
"""Changed columns of a row that are shown."""
_LONGEST = 300
"""Length of an assumption beyond which it is cut; some list ids [characters]."""


def number_text(value: float | None, unit: str = "") -> str:
    """Return a number in four digits, whole where it counts something.

    Examples
    --------
    >>> number_text(2160.00002, "m³"), number_text(0.81558, "m"), number_text(-3e-7), number_text(145.0, "objects"), number_text(None)
    ('2,160', '0.8156', '-3e-07', '145', 'not known')
    """
    if value is None or not np.isfinite(value):
        return "not known" if value is None or np.isnan(value) else str(value)
    if unit in {"objects", "persons"} and float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def signed_text(difference: float, unit: str = "", noise: float | None = None) -> str:
    """Return a difference with its sign, its noise where it is known, and its unit.

    Examples
    --------
    >>> signed_text(12.3, "veh/h", 0.4), signed_text(-3.0, "objects"), signed_text(0.0), signed_text(0.5, "1")
    ('+12.3 ± 0.4 veh/h', '-3 objects', '0', '+0.5')
    """
    told = f"{'+' if difference > 0 else ''}{number_text(difference, unit)}"
    off = f" ± {noise:.2g}" if noise is not None and np.isfinite(noise) and noise > 0 else ""
    return f"{told}{off}{_behind(unit)}"


def _behind(unit: str) -> str:
    return "" if unit in {"", "1"} else f" {unit}"


def result_text(
    result: Verdicts | Fields, where: str = "", *, zone: tzinfo | None = None, names: Mapping[str, str] | None = None
) -> str:  # fmt: skip
    """Return what a result says first: its main figures, who is concerned first, the ledger of a flood, and what had to be assumed.

    Parameters
    ----------
    where
        Path of the file that holds every assumption, named where not all are shown; beside it lie the tables, named where not all of
        their rows are shown.
    zone
        Zone in which instants are told, that of the start of the scenario; hours after the start without.
    names
        Names of objects by id.
    """
    lines = [result.name]
    lines += _aligned([["main figure", "value", "unit", ""], *(_figure_row(one) for one in main_figures(result))])
    for one in listed(result, zone):
        rows = [[_named(row[0], names or {}), *row[1:]] for row in one.rows]
        lines += [f"  {one.title} ({one.count:,}):", *_aligned([one.heads, *rows], range(3, len(one.heads)))]
        lines += [f"    and {one.count - MOST_LISTED:,} more"] if one.count > MOST_LISTED else []
        lines += [f"    whole table: {Path(where).parent / 'tables' / f'{one.table}.parquet'}"] if where else []
    ledger = mass_ledger(result)
    lines += _aligned([["mass ledger", "value", "unit", ""], *(_figure_row(one) for one in ledger)]) if ledger else []
    notes = result.run.assumptions
    lines += [f"  assumed, or to be known ({len(notes)}):"] if notes else []
    lines += [f"  - {_cut(one)}" for one in notes[:MOST_NOTES]]
    if len(notes) > MOST_NOTES:
        lines.append(f"  and {len(notes) - MOST_NOTES:,} more{f': see {where}' if where else ''}")
    return "\n".join(lines)


def _named(key: str, names: Mapping[str, str]) -> str:
    name = names.get(key, key)
    return key if name == key else f"{key} ({name})"


def _figure_row(figure: Figure) -> list[str]:
    shown = "" if figure.value is None or figure.unit == "1" else figure.unit
    return [figure.name, number_text(figure.value, figure.unit), shown, figure.note]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = (1,)) -> list[str]:
    """Return rows as lines of columns of one width each; nothing for a heading alone."""
    if len(rows) < 2:
        return []
    wide = [max(map(_width, one)) for one in zip(*rows, strict=True)]
    to_right = set(right)
    lines = []
    for row in rows:
        gaps = [" " * (most - _width(cell)) for most, cell in zip(wide, row, strict=True)]
        cells = [gap + cell if at in to_right else cell + gap for at, (cell, gap) in enumerate(zip(row, gaps, strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese characters take two."""
    return sum(2 if east_asian_width(one) in "WF" else 1 for one in text)


def comparison_text(comparison: Comparison, zone: tzinfo | None = None) -> str:
    """Return a comparison in words: main figures side by side, then the largest changes of every table, and what counts as a change.

    Parameters
    ----------
    zone
        Zone in which instants are told; UTC without.
    """
    parts = [comparison.name, *_aligned(figure_rows(comparison), (2, 3, 4)), *(f"  note: {_cut(text)}" for text in comparison.warnings)]
    parts.append(f"  noise {comparison.noise}")
    parts.append(f"  changed: differs by more than {comparison.tolerance}; words and whole numbers must be equal")
    for name, table in comparison.tables.items():
        if table.num_rows or name in comparison.series:
            parts += (_series_lines if name in comparison.series else _row_lines)(comparison, name, zone)
            parts.append(f"{name}: {table.num_rows - comparison.changed(name).num_rows:,} of {table.num_rows:,} rows unchanged")
    return "\n".join([*parts, ""])


def figure_rows(comparison: Comparison) -> list[list[str]]:
    """Return the main figures side by side with their heads; differences are signed."""
    rows = [["main figure", "unit", "base", "option", "difference", ""]]
    for row in comparison.figures.to_pylist():
        shown = "" if row["unit"] == "1" else row["unit"]
        values = ["–" if row[name] is None else number_text(row[name], row["unit"]) for name in ("base", "option")]
        values.append("–" if row["difference"] is None else signed_text(row["difference"], row["unit"]).removesuffix(_behind(row["unit"])))
        rows.append([row["figure"], shown, *values, row["note"]])
    return rows


def _series_lines(comparison: Comparison, name: str, zone: tzinfo | None) -> list[str]:
    """Return one line per series and column in which something changed, the largest differences of their column first.

    None for a ledger, whose end stands among the main figures.
    """
    summary = comparison.series[name]
    if "series" in summary.column_names:
        return []
    changed = summary.filter(pc.not_equal(summary["change"], "same")).to_pandas()
    if changed.empty:
        return []
    size = changed["largest_difference"].abs() / changed[["maximum_base", "maximum_option"]].abs().max(axis=1)
    changed = changed.assign(size=size).sort_values("size", ascending=False, kind="stable", na_position="first")
    rows = [["series", "column", "unit", "maximum base", "option", "largest difference", "at", ""]]
    keys = summary.column_names[: summary.column_names.index("column")]
    for row in changed.head(MOST_ROWS).to_dict("records"):
        words = row["change"] if row["change"] != "changed" else ""
        instant = "" if words else _word(row["time"], zone)
        values = [number_text(row[one]) for one in ("maximum_base", "maximum_option")]
        values.append(signed_text(row["largest_difference"]))
        rows.append([" ".join(str(row[one]) for one in keys), row["column"], row["unit"], *values, instant, words])
    heading = f"{name}: maxima at each run's own times, differences at common times (option minus base)"
    return [heading, *_aligned(rows, (3, 4, 5)), *_more(len(changed))]


def _row_lines(comparison: Comparison, name: str, zone: tzinfo | None) -> list[str]:
    """Return the largest changes of a table, one line each."""
    changed = comparison.largest(name)
    if not changed.num_rows:
        return []
    shown = changed.slice(0, MOST_ROWS)
    first = next((at for at, one in enumerate(shown.column_names) if one.endswith("_base")), 0)
    keys = [one for one in shown.column_names[: first or 1] if one != "change"]
    told = _told(comparison, shown, zone)
    rows = [
        ["" if row[one] is None else _key(row[one], shown.schema.field(one), comparison, zone) for one in keys] + [row["change"]]
        for row in shown.select([*keys, "change"]).to_pylist()
    ]
    lines = _aligned([["", *keys[1:], ""] if keys else [""], *rows], ())[1:]
    return [
        f"{name}: largest changes first",
        *(f"{line}  {text}".rstrip() for line, text in zip(lines, told, strict=True)),
        *_more(changed.num_rows),
    ]


def _more(count: int) -> list[str]:
    return [f"  and {count - MOST_ROWS:,} more; --json or --csv for all"] if count > MOST_ROWS else []


def _told(comparison: Comparison, rows: pa.Table, zone: tzinfo | None) -> list[str]:
    """Return per row what changed, column by column."""
    said: list[list[str]] = [[] for _ in range(rows.num_rows)]
    for title in [one for one in rows.column_names if one.endswith("_base")]:
        name = title.removesuffix("_base")
        base, option = rows[title].to_pylist(), rows[f"{name}_option"].to_pylist()
        counts = unit(rows.schema.field(title))
        noise = rows[f"{name}_noise"].to_pylist() if f"{name}_noise" in rows.column_names else [None] * rows.num_rows
        ghost = within_noise(rows, name) if f"{name}_noise" in rows.column_names else np.zeros(rows.num_rows, bool)
        for at, (old, new) in enumerate(zip(base, option, strict=True)):
            if not ghost[at] and not _same(comparison, old, new, counts):
                said[at].append(f"{name} {_pair(old, new, counts, noise[at], zone)}")
    change = rows["change"].to_pylist()
    return [_few(texts, words) for texts, words in zip(said, change, strict=True)]


def _few(texts: list[str], change: str) -> str:
    """Return the first changes of a row; those the word of the row says already are left out."""
    if change.startswith("only in"):
        return ""
    rest = [text for text in texts if not text.startswith(("status ", "verdict "))]
    more = f"; and {len(rest) - _MOST_COLUMNS} more columns" if len(rest) > _MOST_COLUMNS else ""
    return "; ".join(rest[:_MOST_COLUMNS]) + more


def _same(comparison: Comparison, old: Any, new: Any, counts: str) -> bool:
    if isinstance(old, float) or isinstance(new, float):
        base, option = (np.array([np.nan if one is None else one], float) for one in (old, new))
        return bool(comparison.tolerance.same(base, option, counts)[0])
    return bool(old == new)


def _pair(old: Any, new: Any, counts: str, noise: float | None, zone: tzinfo | None) -> str:
    """Return two values, and their difference where they are numbers or instants."""
    words = (_word(old, zone), _word(new, zone))
    words = words if words[0] != words[1] else (str(old), str(new))  # as many digits as tell them apart
    if isinstance(old, datetime) and isinstance(new, datetime):
        return f"{' -> '.join(words)} ({(new - old) / timedelta(minutes=1):+.4g} min)"
    if all(isinstance(one, int | float) and not isinstance(one, bool) and np.isfinite(one) for one in (old, new)):
        return f"{' -> '.join(words)} ({signed_text(new - old, counts, noise)})"
    return " -> ".join(word if word == "none" else f"{word}{_behind(counts)}" for word in words)


def _key(value: Any, field: pa.Field, comparison: Comparison, zone: tzinfo | None) -> str:
    """Return what a row is of; seconds after the start as people read them where both runs begin together."""
    if isinstance(value, float) and unit(field) == "s" and comparison.base.start == comparison.option.start:
        return clock_text(comparison.base.start, value, zone)
    return _word(value, zone) if isinstance(value, datetime) else f"{value}{_behind(unit(field))}"


def _word(value: Any, zone: tzinfo | None = None) -> str:
    if isinstance(value, datetime):
        return (value.astimezone(zone) if zone is not None and value.tzinfo is not None else value).isoformat(" ", "seconds")
    return number_text(value) if isinstance(value, float) else "none" if value is None else str(value)


def change_frame(table: pa.Table) -> pandas.DataFrame:
    """Return a table of a comparison for people: units in the titles, differences with sign, noise and unit."""
    frame: pandas.DataFrame = table.to_pandas()
    for title in [one for one in table.column_names if one.endswith("_difference")]:
        counts, noise = unit(table.schema.field(title)), title.removesuffix("difference") + "noise"
        off = table[noise].to_pylist() if noise in frame else [None] * len(frame)
        gaps = zip(table[title].to_pylist(), off, strict=True)
        frame[title] = ["" if gap is None or np.isnan(gap) else signed_text(gap, counts, much) for gap, much in gaps]
        frame = frame.drop(columns=noise, errors="ignore")
    sides = [one for one in table.column_names if one.endswith(("_base", "_option")) and unit(table.schema.field(one))]
    return frame.rename(columns={one: f"{one} [{unit(table.schema.field(one))}]" for one in sides})
