"""A scene: layers made from a city and its results, as data; renderers draw it as picture, page or window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.scenes.camera import Camera
from cim.scenes.context import Context, context_of, in_metres
from cim.scenes.layer import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.model import City
    from cim.results import Fields
    from cim.scenes.clock import Clock
    from cim.scenes.display import Frame
    from cim.scenes.style import Style

__all__ = ["Scene"]

LANGUAGES = ("en", "zh", "both")


class Scene:
    """A city and its results as layers that can be drawn.

    A scene is a value: `add` and `color_by` return a new one that shares what did not change.

    Parameters
    ----------
    city
        What is shown; one in degrees is drawn in the UTM zone of its middle.
    title
        Headline; the name of the city when left out.
    language
        ``"en"``, ``"zh"`` or ``"both"``: of legends, labels and titles.
    underground
        Whether the ground is translucent, so that pipes below it are seen; where most of them lie below it when left out.

    Raises
    ------
    UsageError
        If the language is unknown.
    """

    def __init__(self, city: City, *, title: str | None = None, language: str = "en", underground: bool | None = None) -> None:
        from cim.scenes.building import base_layers

        if language not in LANGUAGES:
            msg = f"language={language!r}; give one of {', '.join(LANGUAGES)}"
            raise UsageError(msg)
        self.city = in_metres(city)
        self.title = title if title is not None else city.name
        self.language = language
        self.context: Context = context_of(self.city, language)
        self.layers: tuple[Layer, ...] = base_layers(self.context, underground=underground)
        self.results: tuple[Any, ...] = ()
        self._asked: np.datetime64 | str | None = None  # what was asked for; None: the peak of what was added last
        self._shown: np.datetime64 | None = None
        self.date = datetime.now(UTC).date()

    def _with(self, **changed: Any) -> Scene:
        other = object.__new__(Scene)
        other.__dict__.update({name: value for name, value in self.__dict__.items() if name not in {"bounds", "hull", "clock"}})
        other.__dict__.update(changed)
        return other

    def layer(self, name: str) -> Layer:
        """Return the layer of this name.

        Raises
        ------
        UsageError
            If there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        msg = f"the scene has no layer {name!r}; it has {', '.join(layer.name for layer in self.layers) or 'none'}"
        raise UsageError(msg)

    def add(self, result: Any, *, name: str | None = None, **options: Any) -> Scene:
        """Return the scene with one more layer: verdicts, water depth, or any `Layer`.

        Parameters
        ----------
        result
            What a check (`cim.results.Verdicts`) or a simulation (`cim.results.Fields`) returned, or a layer of one's own.
        name
            Name of the layer; made from the result when left out.
        **options
            Of the layer: ``at={"water_level": 3.0}`` chooses one of several fields (see `cim.scenes.depth.depth_layer`).

        Returns
        -------
        Scene
            Where the result changes with time and no moment was chosen before (`at`), it shows the peak of the new layer: of
            water the time of the largest volume.

        Raises
        ------
        UsageError
            If there is no way to draw it.
        """
        from cim.scenes.building import layers_of_result
        from cim.scenes.clock import moved

        added = (result,) if isinstance(result, Layer) else layers_of_result(self, result, options)
        if name is not None and len(added) == 1:
            added = (replace(added[0], name=name),)
        fresh: list[Layer] = []
        for layer in added:
            taken = {one.name for one in (*self.layers, *fresh)}
            free = (layer.name, *(f"{layer.name} {number}" for number in range(2, len(taken) + 3)))
            fresh.append(replace(layer, name=next(text for text in free if text not in taken)))
        grown = self._with(layers=(*self.layers, *fresh), results=(*self.results, result))
        motions = [layer.motion for layer in fresh if layer.motion is not None]
        if not motions or grown.clock is None:
            return grown
        if self._asked is not None:
            return grown.at(self._asked)
        shown = motions[-1].times[motions[-1].peak]
        return self._with(layers=tuple(moved(layer, shown) for layer in grown.layers), results=grown.results, _shown=shown)

    @cached_property
    def clock(self) -> Clock | None:
        """The clock of all layers that change with time, None where none does."""
        from cim.scenes.clock import clock_of

        return clock_of(self.layers, self.city.time_zone)

    @property
    def times(self) -> NDArray[np.datetime64]:
        """Instants at which something in the scene changes, rising, UTC, shape (n,); empty where all stands still."""
        return np.empty(0, "M8[us]") if self.clock is None else self.clock.instants

    @property
    def moment(self) -> np.datetime64 | None:
        """The instant shown; None where nothing changes with time, or the highest values are shown."""
        return self._shown

    def at(self, moment: float | str | datetime | np.datetime64) -> Scene:
        """Return the scene at another moment: every layer that changes with time shows its last state not after it.

        Parameters
        ----------
        moment
            Number of one of `times` (negative from the end); an instant (without zone in that of the city, as on the labels; `datetime64`
            in UTC), taken to the nearest of them;
            seconds since the start, as a float, for runs without a date; or ``"maximum"`` for the highest value at every place.

        Raises
        ------
        UsageError
            If nothing in the scene changes with time, or there is no such time.
        """
        from cim.scenes.clock import MAXIMUM, moved

        if self.clock is None:
            msg = f"at({moment!r}): nothing in this scene changes with time; add the result of a simulation over time first"
            raise UsageError(msg)
        shown = None if isinstance(moment, str) and moment == MAXIMUM else self.clock.instants[self.clock.place(moment)]
        layers = tuple(moved(layer, shown) for layer in self.layers)
        return self._with(layers=layers, _shown=shown, _asked=MAXIMUM if shown is None else shown)

    def color_by(
        self, attribute: str | Fields | None = None, *, layer: str = "buildings", style: Style | None = None, table: str | None = None,
        column: str | None = None,
    ) -> Scene:  # fmt: skip
        """Return the scene with one layer coloured by an attribute, or by a column of a result; by class when it is None.

        Parameters
        ----------
        attribute
            Attribute or core column, such as ``"height"``, ``"z_roof"``, ``"function"``; or the result of a simulation that has
            tables by object id, with `column`.
        layer
            Layer to colour.
        style
            How values become colours; a ramp for numbers, classes for depths of a result, and a palette for the rest when left out.
        table
            Table of the result; the first that has the column when left out.
        column
            Column of the table, such as ``"maximum_depth"``.

        Raises
        ------
        ObjectNotFoundError
            If no object of the layer has the attribute, or the result no such table or column.
        UsageError
            If `column` is missing, or given without a result; or no row of the table is an object of the layer.
        """
        from cim.scenes.solids import colour_by
        from cim.scenes.tables import colour_by_table

        if attribute is None or isinstance(attribute, str):
            if table is not None or column is not None:
                msg = f"table={table!r}, column={column!r} belong to a result: color_by(result, column=...)"
                raise UsageError(msg)
            changed = colour_by(self.context, self.layer(layer), attribute, style)
        else:
            changed = colour_by_table(self.context, self.layer(layer), attribute, table, column, style)
        return self._with(layers=tuple(changed if one.name == layer else one for one in self.layers))

    def explode(self, id: str, *, gap: float | None = None) -> Scene:
        """Return the scene with one building opened: its storeys pulled apart and named, rooms coloured by function.

        Parameters
        ----------
        id
            The building.
        gap
            Added between storeys [m]; by the height of the building when left out.

        Raises
        ------
        UsageError
            If it has no storeys.
        ObjectNotFoundError
            If there is no such object.
        """
        return self._opened(id, gap=gap)

    def storey(self, id: str, name: str) -> Scene:
        """Return the scene with one storey of a building instead of the whole, cut open 1.2 m above its floor as in a plan.

        Parameters
        ----------
        id
            The building.
        name
            Id or name of the storey.

        Raises
        ------
        UsageError
            If the building has no storeys.
        ObjectNotFoundError
            If there is no such object or storey.
        """
        return self._opened(id, only=name)

    def _opened(self, id: str, **options: Any) -> Scene:
        from cim.scenes.storeys import opened, storey_layers

        added, keys = storey_layers(self.context, id, **options)
        return self._with(layers=opened(self.layers, self.context, keys, added))

    def show_only(self, *names: str) -> Scene:
        """Return the scene with only these layers visible; all when none is named."""
        for name in names:
            self.layer(name)
        return self._with(layers=tuple(replace(one, visible=not names or one.name in names) for one in self.layers))

    # ------------------------------------------------------------------ what renderers ask

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """Lowest and highest corner of everything visible, shape (2, 3), relative to `origin` [m]."""
        boxes = [layer.bounds for layer in self.layers if layer.visible and len(layer.points)]
        if not boxes:
            return np.array([[-50.0, -50.0, 0.0], [50.0, 50.0, 10.0]])
        both = np.stack(boxes)
        return np.stack([both[:, 0].min(axis=0), both[:, 1].max(axis=0)])

    @property
    def origin(self) -> NDArray[np.float64]:
        """Absolute position of the point (0, 0, 0) of the scene in the CRS of the city, shape (3,) [m]."""
        return self.context.origin

    @cached_property
    def hull(self) -> NDArray[np.float64]:
        """Corners of the convex hull of what a camera must frame, shape (n, 3) [m]; see `cim.scenes.framing`."""
        from cim.scenes.framing import hull_of

        return hull_of(self.layers)

    def camera(self, size: tuple[int, int] = (1600, 1000), *, around: Sequence[str] | None = None, **options: Any) -> Camera:
        """Return a camera that frames the city, or some of its objects.

        Parameters
        ----------
        size
            Width and height of the picture [pixel].
        around
            Ids of the objects to frame.
        **options
            As in `Camera.fitting`: azimuth, elevation, view_angle, orthographic.

        Raises
        ------
        ObjectNotFoundError
            If none of the objects in `around` is drawn.
        """
        from cim.scenes.framing import points_of

        return Camera.fitting(self.hull if around is None else points_of(self.layers, around), size, **options)

    # ------------------------------------------------------------------ drawing

    def screenshot(self, path: str | Path, *, size: tuple[int, int] = (1600, 1000), camera: Camera | None = None) -> Path:
        """Write a picture as PNG; see `cim.scenes.still.screenshot`."""
        from cim.scenes.still import screenshot

        return screenshot(self, path, size=size, camera=camera)

    def film(
        self, path: str | Path, *, fps: float = 5.0, start: float | str | datetime | np.datetime64 | None = None,
        end: float | str | datetime | np.datetime64 | None = None, size: tuple[int, int] = (1280, 720), camera: Camera | None = None,
    ) -> Path:  # fmt: skip
        """Write a film of all times, or of those from `start` to `end`; see `cim.scenes.film`."""
        from cim.scenes.film import film

        return film(self, path, fps=fps, start=start, end=end, size=size, camera=camera)

    def html(self, path: str | Path) -> Path:
        """Write the scene as one HTML file that opens from disk without network; see `cim.scenes.page`."""
        from cim.scenes.page import write_page

        return write_page(self, path)

    def show(self, *, height: int = 640) -> Frame | None:
        """Show the scene in a notebook, or in a window; see `cim.scenes.display.show`."""
        from cim.scenes.display import show

        return show(self, height=height)

    def _repr_html_(self) -> str:
        from cim.scenes.display import inline

        return inline(self)

    def to_json(self) -> str:
        """Return a light description as JSON: title, place, layers with legends and counts, without geometry."""
        import json

        from cim.scenes.page import described_layer

        west, south, low, east, north, high = (float(value) for value in (self.bounds + self.origin).ravel())
        described = {
            "title": self.title, "language": self.language, "crs": self.city.crs.to_string(), "date": self.date.isoformat(),
            "bounds": [west, south, low, east, north, high],
            "times": [] if self.clock is None else list(self.clock.labels),
            "moment": None if self.moment is None else str(self.moment), "layers": [described_layer(layer) for layer in self.layers],
        }  # fmt: skip
        return json.dumps(described, ensure_ascii=False, indent=1)

    def __repr__(self) -> str:
        """Return title and layers in one line."""
        return f"<Scene {self.title!r}: " + ", ".join(f"{layer.name} ({len(layer):,})" for layer in self.layers) + ">"
