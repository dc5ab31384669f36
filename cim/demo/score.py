"""How well a fused city met the truth: matches right, wrong and missed, planted defects found by name, heights compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.demo.drains import MODEL
from cim.demo.registers import FIRST, SECOND
from cim.demo.score_sources import Check, checks
from cim.demo.truth import DEFECTS, NEEDS

if TYPE_CHECKING:
    import pandas

    from cim.demo.truth import Truth
    from cim.model import City

__all__ = ["Finding", "Score", "score"]

SHIFT_TOLERANCE = 0.05
"""A shift counts as found when it is measured to this [m]: the corners are rounded to a millimetre, and the median leaves out odd pairs."""
HOLE_CELLS = 10
"""Smaller patches without elevation are no holes of the survey."""


@dataclass(frozen=True)
class Finding:
    """One kind of defect: what was planted and what the report of the city names."""

    kind: str
    """Key of `cim.demo.truth.DEFECTS`."""
    planted: int
    found: int
    """Planted ones that the city names."""
    missed: tuple[str, ...]
    """Planted ones that it does not."""
    false: tuple[str, ...]
    """What it names without reason."""
    how: str
    """Where the city says so."""


@dataclass(frozen=True)
class Score:
    """The fusion against the truth."""

    pairs: int
    """Pairs of records that show the same building, in truth."""
    found: int
    """Pairs that the fusion made."""
    right: int
    """Of them, those that are true."""
    missed: tuple[tuple[str, str], ...]
    wrong: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    height_within: float
    """Share of the buildings whose height, roof over ground, lies within half a metre of the truth."""
    height_error: float
    """Root mean square of that difference [m]."""
    checks: tuple[Check, ...] = ()
    """What became of the office, the maps, the drains and the poles."""

    @property
    def precision(self) -> float:
        """Share of the pairs made that are true."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the true pairs that were made."""
        return self.right / self.pairs if self.pairs else 1.0

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table of planted and found defects."""
        import pandas as pd

        rows = [
            {
                "defect": DEFECTS[one.kind][0],
                "缺陷": DEFECTS[one.kind][1],
                "planted": one.planted,
                "found": one.found,
                "false": len(one.false),
                "named in": one.how,
            }
            for one in self.findings
        ]
        return pd.DataFrame(rows)

    def text(self) -> str:
        """Return the score as plain text."""
        head = (
            f"matches 匹配: {self.right} of {self.pairs} true pairs made, {len(self.wrong)} wrong "
            f"(recall {self.recall:.3f}, precision {self.precision:.3f})\n"
            f"heights 高度: {self.height_within:.1%} within 0.5 m of the truth, root mean square {self.height_error:.2f} m\n"
        )
        lines = [one.text() for one in self.checks]
        rows = [f"{'planted':>7} {'found':>5} {'false':>5}  defect"]
        for one in self.findings:
            english, chinese = DEFECTS[one.kind]
            rows.append(f"{one.planted:>7} {one.found:>5} {len(one.false):>5}  {english} {chinese}  [{one.how}]")
        return head + "\n".join([*lines, *rows])

    def _repr_html_(self) -> str:
        return f"<pre>{self.text().splitlines()[0]}</pre>" + str(self.to_pandas().to_html(index=False))


def score(city: City, truth: Truth) -> Score:
    """Return how well a city, fused from the sources of the demo district, met the truth.

    Only what the city itself says counts: its matches, claims and issues, and the footprints of its objects.
    """
    view = _view(city, truth)
    made = view.pairs
    findings = tuple(_finding(kind, view, truth) for kind in DEFECTS if truth.where(kind) or kind not in NEEDS)
    within, error = _heights(city, truth)
    return Score(
        len(truth.pairs),
        len(made),
        len(made & truth.pairs),
        tuple(sorted(truth.pairs - made)),
        tuple(sorted(made - truth.pairs)),
        findings,
        within,
        error,
        checks(city, truth),
    )


@dataclass(frozen=True)
class _View:
    """What the city says, as plain tables."""

    city: City
    first: pandas.DataFrame
    """Records of the first register: object, record."""
    second: pandas.DataFrame
    """Records of the second: object, record, kind, score, evidence."""
    pairs: frozenset[tuple[str, str]]
    issues: pandas.DataFrame
    claims: pandas.DataFrame
    """Claims that were chosen: object, attribute, and the file that made them."""


def _view(city: City, truth: Truth) -> _View:
    del truth
    matches = _named(city, city.tables["matches"].to_pandas())
    sources = city.tables["sources"].to_pandas().set_index("key")["path"].map(_file)
    matches["file"] = matches["source"].map(sources)
    first, second = matches[matches["file"] == FIRST], matches[matches["file"] == SECOND]
    both = first.merge(second, on="object", suffixes=("_first", "_second"))
    pairs = frozenset(zip(both["record_first"], both["record_second"], strict=True))
    issues = _named(city, city.tables["issues"].to_pandas())
    issues["file"] = issues["source"].map(sources)
    claims = _named(city, city.tables["claims"].to_pandas())
    claims["file"] = claims["source"].map(sources)
    claims = claims[claims["chosen"]]
    return _View(city, first, second, pairs, issues, claims)


def _file(path: str | None) -> str:
    return (path or "").replace("\\", "/").rpartition("/")[2]


def _named(city: City, frame: pandas.DataFrame) -> pandas.DataFrame:
    """Return a table with ids in place of keys."""
    objects = city.tables["objects"].select(["key", "id"]).to_pandas().set_index("key")["id"]
    return frame.assign(object=frame["object"].map(objects))


# ---------------------------------------------------------------- defects


@dataclass(frozen=True)
class _Seen:
    """What a city names of one kind."""

    records: frozenset[str]
    how: str
    complete: bool = False
    """Whether everything named must be planted; else only planted ones are looked for."""


def _finding(kind: str, view: _View, truth: Truth) -> Finding:
    planted = truth.where(kind)
    seen = _SEEN[kind](view, truth)
    missed = tuple(one for one in planted if one not in seen.records)
    false = tuple(sorted(seen.records - set(planted))) if seen.complete else ()
    return Finding(kind, len(planted), len(planted) - len(missed), missed, false, seen.how)


def _shifted(view: _View, truth: Truth) -> _Seen:
    east, north = measured_shift(view.city, truth)
    hit = abs(east - truth.shift[0]) < SHIFT_TOLERANCE and abs(north - truth.shift[1]) < SHIFT_TOLERANCE
    return _Seen(frozenset([SECOND] if hit else []), f"matched pairs: {east:+.2f} m east, {north:+.2f} m north")


def measured_shift(city: City, truth: Truth) -> tuple[float, float]:
    """Return how far the second register lies from the first, east and north: the median over pairs that are one to one [m]."""
    import shapely

    from cim.loaders import read

    matches = _view(city, truth).second
    single = matches[matches["kind"] == "same"]
    other = read(truth.folder / SECOND, mapping={"class": "Building", "id": "BLDG_ID"})
    there = set(other.tables["objects"]["id"].to_pylist())
    single = single[single["record"].isin(there)]
    ours = shapely.get_coordinates(shapely.centroid(city.footprints(city.key_of(single["object"].tolist()))))
    theirs = shapely.get_coordinates(shapely.centroid(other.footprints(other.key_of(single["record"].tolist()))))
    east, north = np.median(theirs - ours, axis=0) if len(single) else (0.0, 0.0)
    return float(east), float(north)


def _split(view: _View, truth: Truth) -> _Seen:
    del truth
    parts = view.second[(view.second["kind"] == "part") & ~view.second["record"].isin(_repeated(view))]
    count = parts.groupby("object")["record"].nunique()
    return _Seen(frozenset(count[count > 1].index), "matches of kind part", complete=True)


def _repeated(view: _View) -> set[str]:
    """Return records that the door found twice, under both names."""
    twice = view.issues[(view.issues["code"] == "duplicate") & (view.issues["file"] == SECOND)]["record"].dropna()
    return {name for one in twice for name in (one, f"{one}#2")}


def _merged(view: _View, truth: Truth) -> _Seen:
    del truth
    whole = view.second[view.second["kind"] == "whole"].sort_values("object")
    joined = whole.groupby("record")["object"].agg("+".join)
    return _Seen(frozenset(joined), "matches of kind whole", complete=True)


def _missing_id(view: _View, truth: Truth) -> _Seen:
    counted = view.issues[
        (view.issues["code"] == "assumed") & (view.issues["file"] == SECOND) & view.issues["message"].str.contains("have no id")
    ]
    stem = SECOND.partition(".")[0]
    nameless = frozenset(one for one in view.second["record"] if one.startswith(f"{stem}."))
    if int(counted["count"].sum()) != len(nameless):
        return _Seen(frozenset(), "the count in the issue disagrees with the records")
    del truth
    return _Seen(nameless, "issue assumed", complete=True)


def _odd_id(view: _View, truth: Truth) -> _Seen:
    del truth
    named = view.second[view.second["evidence"].fillna("").str.startswith("identifier") & (view.second["record"] != view.second["object"])]
    return _Seen(frozenset(named["object"]), "matches by normalised identifier", complete=True)


def _left_out(view: _View, truth: Truth) -> _Seen:
    del truth
    return _Seen(frozenset(view.first["object"]) - frozenset(view.second["object"]), "left over: known to the first only", complete=True)


def _extra(view: _View, truth: Truth) -> _Seen:
    del truth
    only = view.second[~view.second["object"].isin(view.first["object"])]
    return _Seen(frozenset(only["record"]), "left over: known to the second only", complete=True)


def _disagrees(attribute: str) -> Callable[[_View, Truth], _Seen]:
    def look(view: _View, truth: Truth) -> _Seen:
        del truth
        said = view.issues[(view.issues["code"] == "conflict") & (view.issues["record"] == attribute)]
        return _Seen(frozenset(said["object"].dropna()), "issue conflict", complete=True)

    return look


def _filled(attribute: str, file: str, what: str) -> Callable[[_View, Truth], _Seen]:
    def look(view: _View, truth: Truth) -> _Seen:
        del truth
        hit = view.claims[(view.claims["attribute"] == attribute) & (view.claims["file"] == file)]
        return _Seen(frozenset(hit["object"]), f"why: taken from the {what}")

    return look


def _sentinel(view: _View, truth: Truth) -> _Seen:
    del truth
    said = view.issues[(view.issues["code"] == "rejected") & view.issues["message"].str.contains("-9999")]
    return _Seen(frozenset(said["object"].dropna()), "issue rejected")


def _record_issue(file: str, word: str) -> Callable[[_View, Truth], _Seen]:
    """Return a look for repairs of records that are named by their number in the file."""

    def look(view: _View, truth: Truth) -> _Seen:
        said = view.issues[(view.issues["code"] == "repaired") & (view.issues["file"] == file) & view.issues["message"].str.contains(word)]
        numbers = [int(one) for one in said["record"].dropna() if str(one).isdigit()]
        names = truth.order[file]
        return _Seen(frozenset(names[one] for one in numbers if one < len(names)), "issue repaired", complete=True)

    return look


def _duplicate(file: str) -> Callable[[_View, Truth], _Seen]:
    def look(view: _View, truth: Truth) -> _Seen:
        del truth
        said = view.issues[(view.issues["code"] == "duplicate") & (view.issues["file"] == file)]["record"].dropna()
        return _Seen(frozenset(said), "issue duplicate", complete=True)

    return look


def _holes(view: _View, truth: Truth) -> _Seen:
    from scipy import ndimage

    from cim.model.coverages import raster_ids, read_raster

    del truth
    values = read_raster(view.city, raster_ids(view.city, "terrain")[0]).values
    patches, count = ndimage.label(~np.isfinite(values))
    sizes = ndimage.sum_labels(np.ones_like(values), patches, np.arange(1, count + 1))
    holes = int((np.asarray(sizes) >= HOLE_CELLS).sum())
    share = float(np.mean(~np.isfinite(values)))
    return _Seen(frozenset(f"dtm_2m.tif {n + 1}" for n in range(holes)), f"cells without elevation, {share:.2%} of it", complete=True)


def _encoding(view: _View, truth: Truth) -> _Seen:
    del truth
    said = view.issues[(view.issues["code"] == "encoding") & (view.issues["file"] == "water.shp")]
    return _Seen(frozenset(["water.shp 1"] if len(said) else []), "issue encoding")


def _told(*words: str) -> Callable[[_View, Truth], _Seen]:
    """Return a look for issues about coordinates whose message holds all words; any other file that is told so is a false find."""

    def look(view: _View, truth: Truth) -> _Seen:
        del truth
        said = view.issues[view.issues["code"] == "crs"]
        for word in words:
            said = said[said["message"].str.contains(word, regex=False)]
        return _Seen(frozenset(said["file"].dropna()), "issue crs", complete=True)

    return look


_SEEN: Mapping[str, Callable[[_View, Any], _Seen]] = {
    "shifted": _shifted,
    "split": _split,
    "merged": _merged,
    "missing_id": _missing_id,
    "odd_id": _odd_id,
    "left_out": _left_out,
    "extra": _extra,
    "height_disagrees": _disagrees("height"),
    "missing_height": _filled("height", SECOND, "second register"),
    "missing_storeys": _filled("storeys_above_ground", SECOND, "second register"),
    "sentinel_height": _sentinel,
    "bow_tie": _record_issue(FIRST, "Self-intersection"),
    "open_ring": _record_issue(SECOND, "not closed"),
    "duplicate_id": _duplicate(FIRST),
    "duplicate_record": _duplicate(SECOND),
    "terrain_holes": _holes,
    "no_encoding": _encoding,
    "web_map": _told("suspected", "GCJ-02"),
    "missing_diameter": _filled("diameter", MODEL, "SWMM model"),
    "diameter_disagrees": _disagrees("diameter"),
    "coarse_site": _told("evidence not used", "whole minutes"),
}


# ---------------------------------------------------------------- heights


def _heights(city: City, truth: Truth) -> tuple[float, float]:
    """Return the share of buildings within half a metre, and the root mean square [m]."""
    objects = city.tables["objects"].select(["id", "z_ground", "z_roof"]).to_pandas().set_index("id")
    there = np.isin(truth.ids, objects.index.to_numpy())
    rows = objects.loc[truth.ids[there].tolist()]
    error = (rows["z_roof"] - rows["z_ground"]).to_numpy() - truth.height[there]
    known = np.isfinite(error)
    return float((np.abs(error[known]) <= 0.5).sum() / len(truth.ids)), float(np.sqrt(np.mean(error[known] ** 2)))
