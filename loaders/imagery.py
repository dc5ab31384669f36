"""What an image or a land cover raster says about objects: the green share of each, and the classes it is covered by.

Both are estimates from cells whose centre lies in the footprint; the method and a confidence stand in every claim.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.loaders.zonal_cells import open_cells
from cim.loaders.zonal_city import Measured, attach, gaps, places, resolve
from cim.loaders.zonal_statistics import zonal_classes, zonal_statistics
from cim.model.coverages import Raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Values = NDArray[Any]

__all__ = ["EXCESS_GREEN", "NDVI", "excess_green", "green_ratio", "land_cover", "ndvi"]

NDVI = 0.3
"""Least NDVI of a green cell: sparse grass has about 0.2 to 0.3, dense plants 0.5 and more [1]_.

.. [1] Weier and Herring (2000). Measuring vegetation. NASA Earth Observatory.
"""
EXCESS_GREEN = 0.1
"""Least excess green of a green cell, with r, g, b as shares of their sum: bare soil and asphalt lie near 0 [1]_.

.. [1] Woebbecke et al. (1995). Color indices for weed identification. Transactions of the ASAE 38(1), 259-269.
"""
_CONFIDENCE = {"NDVI": 0.8, "excess green": 0.5}
_DARK = 0.06  # of the largest value: the colour of deeper shade is noise


def ndvi(nir: Values, red: Values) -> NDArray[np.float32]:
    """Return the normalised difference vegetation index, -1 to 1; NaN where both bands are 0.

    Examples
    --------
    >>> ndvi(np.array([200]), np.array([50])).round(3)
    array([0.6], dtype=float32)
    """
    a, b = nir.astype(np.float32), red.astype(np.float32)
    total = a + b
    return np.where(total > 0, (a - b) / np.where(total > 0, total, np.float32(1)), np.float32(np.nan))


def excess_green(red: Values, green: Values, blue: Values) -> NDArray[np.float32]:
    """Return 2 g - r - b with the bands as shares of their sum, -1 to 2; NaN where all are 0.

    Examples
    --------
    >>> excess_green(np.array([60]), np.array([120]), np.array([60])).round(3)
    array([0.5], dtype=float32)
    """
    r, g, b = (band.astype(np.float32) for band in (red, green, blue))
    total = r + g + b
    some = total > 0
    return np.where(some, np.float32(3) * g / np.where(some, total, np.float32(1)) - np.float32(1), np.float32(np.nan))


def green_ratio(city: City, image: City | str, *, type: str = "LandUse", name: str = "green_ratio", threshold: float | None = None) -> City:
    """Return the city with the share of green cells in the footprint of each object: 绿地率, estimated from above.

    Parameters
    ----------
    image
        A city that holds one image (what reading it gave), or the id of an object of this city that has one. With a near-infrared band
        a cell is green by its NDVI, otherwise by its excess-green index.
    type
        Class of the objects, such as ``"LandUse"`` for parcels.
    name
        Name of the attribute.
    threshold
        Least index of a green cell; `NDVI` or `EXCESS_GREEN` when left out.

    Raises
    ------
    UsageError
        If there is no such class or image, or the image has neither near infrared nor colour.
    InputError
        If the image cannot be read.

    Notes
    -----
    Cells in deep shade tell no colour: in an image without near infrared they count as unknown, and the share is that of the others.
    A tree crown over a road counts as green, and a lawn in winter may not; this is no survey of green land. A ratio that the object
    states already stays, and the estimate is a claim beside it.
    """
    city, ground = resolve(city, image, "image")
    bands, derive, what = _index(list(ground.meta.get("bands", [])), _brightest(ground.meta), threshold, ground.name)
    if isinstance(ground.data, Raster):
        msg = "an image is read from its file; give the city that holds it"
        raise UsageError(msg)
    keys, shapes, issues = places(city, type, ground)
    with open_cells(ground.data, bands=bands, derive=derive) as cells:
        found = zonal_statistics(cells, shapes, ("mean",))
    share = found["mean"]
    kind = what.split(" of at least", 1)[0]
    method = f"estimated: share of cells with {what} in image {ground.name}"
    column = Measured(share, "", method, _CONFIDENCE[kind], "green ratio (from an image)", "绿地率（影像估算）")
    issues += gaps(f"{type} and {ground.name}", shapes, found.covered, found.sampled, np.isfinite(share), found.unknown)
    count = int(np.isfinite(share).sum())
    if count:
        issues.append(
            {"code": "assumed", "count": count, "message": f"{name} of {count} {type} is {method}; it is no survey of green land"}
        )
    return attach(city, type, keys, {name: column}, ground.source).with_issues(issues)


def _brightest(meta: Mapping[str, Any]) -> int:
    """Return the largest value of a band: sensors of 10 to 14 bits fill only a part of the 16 they are stored in."""
    full = (1 << int(meta.get("bits", 8))) - 1
    return full if full <= 255 else min(full, max(int(meta.get("highest", full)), 255))


def _index(bands: list[str], full: int, threshold: float | None, name: str) -> tuple[tuple[int, ...], Callable[..., Values], str]:
    """Return the bands to read, what makes 1 (green), 0 or NaN of them, and the rule in words."""
    limit = threshold if threshold is not None else NDVI if "nir" in bands else EXCESS_GREEN
    if not np.isfinite(limit):
        msg = f"threshold={threshold}; give a finite number"
        raise UsageError(msg)
    if {"nir", "red"} <= set(bands):
        chosen = tuple(bands.index(band) + 1 for band in ("nir", "red"))
        return chosen, lambda raw, known: _green(ndvi(*raw), known, limit), f"NDVI of at least {limit:g}"
    if {"red", "green", "blue"} <= set(bands):
        chosen = tuple(bands.index(band) + 1 for band in ("red", "green", "blue"))
        dark = _DARK * 3 * full

        def derive(raw: list[Values], known: NDArray[np.bool_]) -> Values:
            bright = raw[0].astype(np.float32) + raw[1] + raw[2] >= dark
            return _green(excess_green(*raw), known & bright, limit)

        return chosen, derive, f"excess green of at least {limit:g}"
    has = ", ".join(bands) or "none"
    msg = f'the image {name} has the bands {has}; green needs red and nir, or red, green and blue (read it with bands="rgbn")'
    raise UsageError(msg)


def _green(index: Values, known: NDArray[np.bool_], limit: float) -> Values:
    green = (index >= np.float32(limit)).astype(np.float32)
    green[~known | ~np.isfinite(index)] = np.nan
    return green


def land_cover(
    city: City, raster: City | str, *, type: str = "LandUse", name: str = "land_cover", legend: Mapping[int, str] | None = None
) -> City:
    """Return the city with the class that covers most of each object, and the share of every class.

    Parameters
    ----------
    raster
        A city that holds one land cover raster (``read(path, surface="land_cover", legend={10: "trees"})``), or the id of an object of
        this city that has one.
    type
        Class of the objects.
    name
        Name of the attribute with the class; ``<name>_share`` is its share, and the shares of all classes are a claim of the class.
    legend
        Names of the classes by value, where the raster brings none; a class without name goes by its value.

    Raises
    ------
    UsageError
        If there is no such class or raster.
    InputError
        If the raster cannot be read.
    """
    city, ground = resolve(city, raster, "classes")
    names = {**ground.meta.get("legend", {}), **{str(value): text for value, text in (legend or {}).items()}}
    classes = [int(value) for value in ground.meta.get("classes", {})]
    if not classes:
        msg = f"the raster {ground.name} holds no class; every cell of it is unknown"
        raise UsageError(msg)
    keys, shapes, issues = places(city, type, ground)
    found = zonal_classes(ground.data, shapes, classes)
    shares, known = found.shares, found.counts.sum(axis=1) > 0
    best = found.counts.argmax(axis=1)
    titles = np.asarray([names.get(str(value), str(value)) for value in classes], object)
    method = _shares_told(found.counts, titles, ground.name)
    nameless = [str(value) for value in classes if str(value) not in names]
    if nameless:
        text = f"{len(nameless)} classes of {ground.name} have no name and go by their value: {', '.join(nameless[:10])}"
        issues.append({"code": "assumed", "severity": "info", "count": len(nameless), "message": text})
    ties = int(((found.counts == found.counts.max(axis=1, keepdims=True)).sum(axis=1)[known] > 1).sum())
    if ties:
        text = f"{type} and {ground.name}: {ties} objects have two classes of equal share; the first of the legend is taken"
        issues.append({"code": "assumed", "count": ties, "message": text})
    issues += gaps(f"{type} and {ground.name}", shapes, found.covered, found.sampled, known, found.other)
    columns = {
        name: Measured(np.where(known, titles[best], None), "", method, None, "land cover", "地表覆盖"),
        f"{name}_share": Measured(np.where(known, shares.max(axis=1, initial=0.0), np.nan), "", method, None, "share of it", "占比"),
    }
    return attach(city, type, keys, columns, ground.source).with_issues(issues)


def _shares_told(counts: NDArray[np.int64], titles: NDArray[np.object_], name: str) -> NDArray[np.object_]:
    """Return the shares of all classes in words, one text per polygon; each different mix is written once."""
    mixes, place = np.unique(counts, axis=0, return_inverse=True)
    texts = []
    for mix in mixes.tolist():
        total = max(sum(mix), 1)
        said = {title: round(count / total, 4) for title, count in zip(titles.tolist(), mix, strict=True) if count}
        texts.append(f"cells of {name} whose centre lies inside: {json.dumps(said, ensure_ascii=False)} of {sum(mix)}")
    return np.asarray(texts, object)[place.ravel()]
