"""The report of a city: sources, matches, conflicts, leftovers and issues, drawn from its tables; nothing is kept twice."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas
    import pyarrow as pa

    from cim.model.city import City

__all__ = ["Report", "report"]

_SHOWN = 20
"""Rows of a long table that the text and the notebook show."""


@dataclass(frozen=True)
class Report:
    """Every part is a pandas DataFrame; `text` and the notebook view show them in one page."""

    sources: pandas.DataFrame
    """Per source: format, CRS, records in, objects out, rejected, repaired, accuracy."""
    objects: pandas.DataFrame
    """Objects per class."""
    matches: pandas.DataFrame
    """Per record of a source: the object it became, kind of match, score and evidence."""
    balance: pandas.DataFrame
    """Per source: records by kind of match; the rows add up to the records that came in."""
    leftovers: pandas.DataFrame
    """Objects that only one source knows though another source holds objects of their class."""
    conflicts: pandas.DataFrame
    """Attributes two sources disagree on, with all claims."""
    placing: pandas.DataFrame
    """Per model that had to be placed: verdict, reason, uncertainty [m] and every piece of evidence, the rejected ones too."""
    alignment: pandas.DataFrame
    """Per source: a shift against the sources before it, as far as one was found or suspected."""
    issues: pandas.DataFrame
    """Counts by code and severity, with the first message of each."""

    def text(self) -> str:
        """Return the report as plain text."""
        parts = [f"{title}\n{'-' * len(title)}\n{frame.to_string(index=False) if len(frame) else 'none'}" for title, frame in self._parts()]
        return "\n\n".join(parts) + "\n"

    def _parts(self) -> list[tuple[str, pandas.DataFrame]]:
        return [
            ("Sources 数据来源", self.sources),
            ("Objects 对象", self.objects),
            ("Balance: what became of each record 核对", self.balance),
            _first("Matches 匹配", self.matches[self.matches["kind"] != "new"]),
            _first("Left over: known to one source only 未匹配", self.leftovers),
            _first("Conflicts 冲突", self.conflicts),
            *([("Placing of models 模型定位", self.placing)] if len(self.placing) else []),
            *([("Alignment between sources 配准", self.alignment)] if len(self.alignment) else []),
            ("Issues 问题", self.issues),
        ]

    def __repr__(self) -> str:
        """Return the text."""
        return self.text()

    def _repr_html_(self) -> str:
        return "".join(
            f"<h4>{html.escape(title)}</h4>{frame.to_html(index=False, na_rep='', escape=True)}" for title, frame in self._parts()
        )


def report(city: City) -> Report:
    """Return the report of a city."""
    import pandas as pd

    sources = city.tables["sources"]
    names = _unique_names(sources)
    shown = [
        "name",
        "format",
        "layer",
        "used_crs",
        "used_vertical",
        "encoding",
        "records_in",
        "objects_out",
        "rejected",
        "repaired",
        "accuracy",
    ]
    matches = _matches(city, names)
    classes = pd.DataFrame([{"class": name, "objects": count} for name, count in city.types().items()], columns=["class", "objects"])
    found = sources.select(shown).to_pandas()
    found["name"] = list(names.values())
    return Report(
        found, classes, matches, _balance(matches), _leftovers(city, matches), _conflicts(city, names), _placing(city),
        _alignment(city, names), _issues(city),
    )  # fmt: skip


def _unique_names(sources: pa.Table) -> dict[int, str]:
    """Return a name for every source; those of one name are told apart by layer, else by number."""
    keys, plain, layers = (sources[name].to_pylist() for name in ("key", "name", "layer"))
    names = [name if plain.count(name) == 1 or not layer else f"{name}:{layer}" for name, layer in zip(plain, layers, strict=True)]
    return {key: name if names.count(name) == 1 else f"{name} [{key}]" for key, name in zip(keys, names, strict=True)}


def _placing(city: City) -> pandas.DataFrame:
    """Return what the sources say about where models stand, one row per fact."""
    import pandas as pd

    rows = city.tables.scan("properties", ["object", "name", "value", "unit"], pc.field("set") == "georeference").to_pandas()
    if rows.empty:
        return pd.DataFrame(columns=["object", "fact", "value"])
    value = rows["value"].fillna("") + rows["unit"].map(lambda unit: f" {unit}" if isinstance(unit, str) and unit else "")
    return pd.DataFrame({"object": rows["object"].map(_ids(city)), "fact": rows["name"], "value": value})


def _alignment(city: City, names: dict[int, str]) -> pandas.DataFrame:
    """Return what the alignment check of the fusion found."""
    import pandas as pd

    found = city.tables.scan("issues", ["source", "severity", "message"], pc.field("record") == "alignment").to_pandas()
    return pd.DataFrame({"source": found["source"].map(names), "severity": found["severity"], "finding": found["message"]})


def _first(title: str, frame: pandas.DataFrame) -> tuple[str, pandas.DataFrame]:
    """Return the head of a long table with a title that says so."""
    return (title if len(frame) <= _SHOWN else f"{title} (first {_SHOWN} of {len(frame):,})", frame.head(_SHOWN))


def _ids(city: City) -> dict[int, str]:
    table = city.tables.scan("objects", ["key", "id"])
    return dict(zip(table["key"].to_pylist(), table["id"].to_pylist(), strict=True))


def _matches(city: City, names: dict[int, str]) -> pandas.DataFrame:
    frame: pandas.DataFrame = city.tables["matches"].to_pandas()
    frame["object"] = frame["object"].map(_ids(city))
    frame["source"] = frame["source"].map(names).fillna("not stated")
    return frame


def _balance(matches: pandas.DataFrame) -> pandas.DataFrame:
    """Count records per source and kind; a record in several objects counts once, under its best kind."""
    import pandas as pd

    if matches.empty:
        return matches[["source"]].head(0)
    order = {"same": 0, "part": 1, "whole": 1, "new": 2}
    first = (
        matches.assign(rank=matches["kind"].map(order).fillna(3)).sort_values("rank", kind="stable").drop_duplicates(["source", "record"])
    )
    counted = pd.crosstab(first["source"], first["kind"])
    counted = counted.loc[list(dict.fromkeys(matches["source"])), [kind for kind in order if kind in counted]]
    counted["records"] = counted.sum(axis=1)
    result: pandas.DataFrame = counted.reset_index()
    result.columns.name = None
    return result


def _leftovers(city: City, matches: pandas.DataFrame) -> pandas.DataFrame:
    """Return objects with records of one source, where at least two sources hold objects of their class."""
    table = city.tables.scan("objects", ["id", "type"])
    types = dict(zip(table["id"].to_pylist(), table["type"].to_pylist(), strict=True))
    typed = matches.assign(type=matches["object"].map(types))
    several = typed.groupby("type")["source"].transform("nunique") > 1
    alone = typed.groupby("object")["source"].transform("nunique") == 1
    result: pandas.DataFrame = typed.loc[several & alone, ["source", "type", "object", "record"]]
    return result


def _conflicts(city: City, names: dict[int, str]) -> pandas.DataFrame:
    """Return the claims of every attribute that has an issue ``conflict``."""
    claims = city.tables["claims"]
    issues = city.tables["issues"].filter(pc.field("code") == "conflict")
    disputed = issues.select(["object", "record"]).rename_columns(["object", "attribute"]).group_by(["object", "attribute"]).aggregate([])
    several = claims.join(disputed, ["object", "attribute"], join_type="inner", use_threads=False).to_pandas()
    several["object"] = several["object"].map(_ids(city))
    several["source"] = several["source"].map(names)
    result: pandas.DataFrame = several[["object", "attribute", "value", "unit", "source", "method", "confidence", "chosen"]]
    return result.sort_values(["object", "attribute", "chosen"], ascending=[True, True, False])


def _issues(city: City) -> pandas.DataFrame:
    frame: pandas.DataFrame = city.tables["issues"].to_pandas()
    grouped = frame.groupby(["code", "severity"], sort=True).agg(count=("count", "sum"), example=("message", "first"))
    result: pandas.DataFrame = grouped.reset_index()
    return result
