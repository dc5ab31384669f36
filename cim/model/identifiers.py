"""Identifiers from different registers brought to one form, so that the same object is found under each of its spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["is_numbered_register", "normalise_identifier", "scheme_of"]

# Prefixes that a register puts before the number it issues.
_PREFIX = r"^(?:NL\.IMBAG\.\w+\.|NL\.IMGeo\.\w+\.|urn:uuid:|uuid[_:-]|osm[/_:](?:node|way|relation)[/_:])"
_SCHEMES = {
    "identificatiebagpnd": "bag", "bagid": "bag", "bag": "bag", "bagpnd": "bag", "pandid": "bag", "lokaalid": "imgeo",
    "gmlid": "gml:id", "guid": "guid", "uuid": "guid", "globalid": "guid", "osmid": "osm",
}  # fmt: skip


def scheme_of(field: str, values: pa.Array | None = None) -> str:
    """Return the scheme that a field of identifiers belongs to; its own name where none is known.

    Examples
    --------
    >>> scheme_of("identificatiebagpnd"), scheme_of("gml_id"), scheme_of("宗地编号")
    ('bag', 'gml:id', '宗地编号')
    """
    import pyarrow.compute as pc

    plain = "".join(c for c in field.casefold() if c.isalnum())
    known = _SCHEMES.get(plain)
    if known is None and values is not None and len(values) > values.null_count:
        text = values.cast("string")
        if pc.all(pc.match_substring_regex(text, r"^NL\.IMBAG\.")).as_py():
            return "bag"
    return known or field


def is_numbered_register(scheme: str) -> bool:
    """Return whether identifiers of a scheme are numbers whose leading zeros get lost in tables."""
    return scheme == "bag"


def normalise_identifier(scheme: str, values: Any) -> pa.Array:
    """Return identifiers in the one form that is compared: no blanks, braces, register prefixes or leading zeros.

    Parameters
    ----------
    scheme
        What `scheme_of` says; GUIDs also lose their case and hyphens.
    values : shape (n,)
        Arrow array, numpy array or sequence of text or integers; null stays null.

    Examples
    --------
    >>> normalise_identifier("bag", ["503100000018603", "0503100000018603", "NL.IMBAG.Pand.0503100000018603"]).unique().to_pylist()
    ['503100000018603']
    >>> normalise_identifier("guid", ["{B31BC81C-0000-4000-8000-00000000000A}"]).to_pylist()
    ['b31bc81c00004000800000000000000a']
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = (
        values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array([None if v is None else str(v) for v in values], pa.string())
    )
    text = pc.utf8_trim_whitespace(pc.utf8_normalize(array.cast(pa.string()), "NFKC"))
    text = pc.replace_substring_regex(text, r"^\{(.*)\}$", r"\1")
    text = pc.replace_substring_regex(text, f"(?i){_PREFIX}", "")
    digits = pc.match_substring_regex(text, r"^0*[0-9]+(?:\.0+)?$")
    bare = pc.replace_substring_regex(pc.replace_substring_regex(text, r"\.0+$", ""), r"^0+([0-9])", r"\1")
    text = pc.if_else(digits, bare, text)
    if scheme == "guid":
        hexadecimal = pc.match_substring_regex(text, r"(?i)^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$")
        text = pc.if_else(hexadecimal, pc.replace_substring(pc.utf8_lower(text), "-", ""), text)
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
