"""Fonts for text in pictures: Chinese needs a font file that holds it, or it is dropped without a word."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cim.errors import DisplayError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

__all__ = ["PACKAGE", "chinese_font", "font", "has_chinese"]

PACKAGE = "fonts-wqy-microhei"
"""Debian package with a small font that holds Chinese."""
_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
_NAMES = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "SourceHanSansCN-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "uming.ttc",
)


def has_chinese(text: str) -> bool:
    """Say whether a text holds Chinese characters or punctuation.

    Examples
    --------
    >>> has_chinese("Delft"), has_chinese("三河 Sanhe")
    (False, True)
    """
    return any(
        "\u2e80" <= letter <= "\u9fff" or "\uf900" <= letter <= "\ufaff" or "\uff00" <= letter <= "\uffef" or letter > "\U0001ffff"
        for letter in text
    )


@cache
def chinese_font() -> Path | None:
    """Return a font file that holds Chinese, None when this machine has none."""
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        place = Path(folder).expanduser()
        if place.is_dir():
            found.update({path.name: path for path in place.rglob("*.[to]t[fc]")})
    return next((found[name] for name in _NAMES if name in found), None)


@cache
def font(size: int) -> FreeTypeFont | ImageFont:
    """Return the font for text of a height [pixel]: one that holds Chinese where there is one."""
    from PIL import ImageFont

    path = chinese_font()
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(str(path), size)


def require_font(texts: list[str]) -> None:
    """Refuse to draw Chinese without a font that holds it.

    Raises
    ------
    DisplayError
        If one of the texts holds Chinese and no font does; the message names the package to install.
    """
    chinese = next((text for text in texts if has_chinese(text)), None)
    if chinese is not None and chinese_font() is None:
        msg = f"no font on this machine holds Chinese, needed for {chinese!r}; run: sudo apt-get install {PACKAGE}"
        raise DisplayError(msg)
