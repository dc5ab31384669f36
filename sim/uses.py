"""What a building is used for, in the few classes that damage curves and densities know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["USES", "use_of"]

_ROWS = """
residential
    residential apartments house houses detached semidetached_house terrace dormitory bungalow dwelling flats
    woonfunctie 住宅 居住 公寓 宿舍 别墅 民居 住宅楼
commercial
    commercial retail shop office offices hotel supermarket restaurant mall kiosk winkelfunctie kantoorfunctie
    logiesfunctie 商业 办公 酒店 宾馆 写字楼 商务 商铺 餐饮 市场
industrial
    industrial warehouse factory manufacture storage industriefunctie 工业 厂房 仓库 仓储 物流 工厂
public
    public civic school university kindergarten college hospital clinic library museum fire_station police
    townhall government onderwijsfunctie gezondheidszorgfunctie bijeenkomstfunctie 文化 学校 医院 消防站 图书馆 教育 医疗 行政 体育 公共
    博物馆 政府
"""


def _words() -> dict[str, str]:
    """Return the class of each word: a line that begins at the margin names the class of those below it."""
    found, use = {}, ""
    for line in _ROWS.strip().splitlines():
        use = use if line.startswith(" ") else line
        found.update(dict.fromkeys(line.split(), use))
    return found


USES: dict[str, str] = _words()
"""Class by the word of a source, lower case. Words in common use in OpenStreetMap, the Dutch register and Chinese surveys."""

_ATTRIBUTES = ("usage", "function", "class")


def use_of(city: City, type: str, keys: NDArray[np.int64], more: Mapping[str, str]) -> NDArray[np.object_]:
    """Return the class of use of objects, None where no attribute says one that is known.

    Parameters
    ----------
    keys : shape (n,)
        Keys of objects of the class `type`, or of its parts.
    more
        Further words of this city, and their class.
    """
    known = {**USES, **{word.strip().lower(): use for word, use in more.items()}}
    found = np.full(len(keys), None, object)
    own = np.isin(keys, city.keys(type)) if len(keys) else np.zeros(0, bool)
    for name in _ATTRIBUTES:
        if type not in city.attributes or name not in city.attributes.schema(type).names:
            continue
        words = city.column(type, name, keys[own]).to_pylist()
        read = {word: _class(word, known) for word in set(words)}
        values = np.full(len(keys), None, object)
        values[own] = [read[word] for word in words]
        blank = np.array([one is None for one in found], bool)
        found[blank] = values[blank]
    return found


def _class(word: object, known: Mapping[str, str]) -> str | None:
    """Return the class of one word; ``building=retail`` is read as its value."""
    if not isinstance(word, str):
        return None
    return known.get(word.strip().lower()) or known.get(word.strip().lower().rpartition("=")[2])
