from __future__ import annotations
def compose(picture, scene, view):
    return picture
