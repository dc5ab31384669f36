"""Scenes: a city and its results as layers, and the pictures, pages and windows drawn from them.

======================================  ==========================================================================================
``scene``                               `Scene`, the value one works with
``layer``, ``style``, ``camera``        what a scene is made of: meshes with object ids, colours, a view
``building``                            which layers a city gives; foreign ones by entry point ``cim.layers``
``terrain``, ``solids``, ``surfaces``   the layers of a city; also ``trees``
``verdicts``, ``depth``, ``water``      the layers of results; ``traffic`` and ``traffic_roads``: roads under traffic and under water;
                                        ``reach``: buildings by whether help comes in time
``traffic_links``, ``traffic_ribbons``  which links of the city a result means, and where their ribbons lie
``traffic_motion``, ``traffic_scale``   colours over time, a byte per object and time; ``clock``: the one clock
``still``, ``page``, ``display``        the renderers: PNG, one HTML file, notebook or window; ``stage`` is what VTK draws on
``picking``                             what is at a pixel
======================================  ==========================================================================================
"""

from __future__ import annotations

if __name__ != "cim.scenes":
    msg = "this folder is imported as cim.scenes"
    raise ImportError(msg)

from cim.scenes.camera import Camera
from cim.scenes.layer import Layer, Legend, LegendEntry, Text
from cim.scenes.picking import Pick, Picker, id_buffer
from cim.scenes.renderers import RENDERERS, register, renderer
from cim.scenes.scene import Scene
from cim.scenes.style import Categorical, Ramp, Rules

__all__ = [
    "RENDERERS",
    "Camera",
    "Categorical",
    "Layer",
    "Legend",
    "LegendEntry",
    "Pick",
    "Picker",
    "Ramp",
    "Rules",
    "Scene",
    "Text",
    "id_buffer",
    "register",
    "renderer",
]
