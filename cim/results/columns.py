"""Columns of result tables: what each is called in English and Chinese, and in which unit it counts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = ["TITLES", "absent_is_zero", "column", "title", "unit"]

TITLES: dict[str, tuple[str, str]] = {
    "object": ("object id", "对象编号"),
    "place": ("plot or cell", "地块或网格"),
    "name": ("name", "名称"),
    "value": ("value", "计算值"),
    "unit": ("unit", "单位"),
    "limit": ("limit", "限值"),
    "excess": ("excess over the limit", "超出值"),
    "verdict": ("verdict", "结论"),
    "reason": ("reason", "原因"),
    "clause": ("clause", "条文"),
    "assumption": ("assumption", "假定"),
    "note": ("note", "说明"),
    "change": ("change", "变化"),
}
"""English and Chinese title by column name; other columns carry theirs in their field metadata."""


def column(name: str, kind: pa.DataType, *, unit: str = "", en: str = "", zh: str = "", absent: str = "") -> pa.Field:
    """Return the field of a column with unit and titles.

    Parameters
    ----------
    absent
        ``"zero"``: a row that the table does not have is 0 in this column; `compare` counts it so. Of a table with a column ``time`` that
        holds only in its intervals: the metadata of the schema, ``intervals``, is a JSON list of where they begin and where the last ends.

    Examples
    --------
    >>> title(column("wet_area", pa.float64(), unit="m²", en="wet area", zh="淹没面积"))
    'wet area 淹没面积 [m²]'
    """
    said = {"unit": unit, "label_en": en, "label_zh": zh, "absent": absent}
    return pa.field(name, kind, metadata={key: value for key, value in said.items() if value} or None)


def unit(field: pa.Field) -> str:
    """Return the unit of a column, ``""`` where it has none."""
    text: str = (field.metadata or {}).get(b"unit", b"").decode()
    return text


def absent_is_zero(field: pa.Field) -> bool:
    """Return whether a row that the table does not have is 0 in a column."""
    return (field.metadata or {}).get(b"absent") == b"zero"


def title(field: pa.Field) -> str:
    """Return the title of a column in both languages with its unit: what the field says, else the nomenclature, else its name."""
    said = field.metadata or {}
    english, chinese = said.get(b"label_en", b"").decode(), said.get(b"label_zh", b"").decode()
    if not (english or chinese):
        english, chinese = TITLES.get(field.name) or _standard(field.name)
    words = " ".join(word for word in (english, chinese) if word) or field.name
    return f"{words} [{unit(field)}]" if unit(field) else words


def _standard(name: str) -> tuple[str, str]:
    """Return the titles of the nomenclature; a suffix that `compare` added is kept as a word."""
    from cim.standard_names import STANDARD_NAMES

    known: Any = STANDARD_NAMES.get(name)
    return (known.label_en, known.label_zh) if known is not None else ("", "")
