"""The thin view that all labs share: sliders on top, a picture and numbers below.

An `HTML` widget holds the numbers and an `Image` widget the picture, no Output widget, so that nothing is printed
into a notebook behind its back. While a slider moves, the picture follows as fast as it can be drawn.
"""

import asyncio
import html
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import ipywidgets as widgets

from s3rec_lite.labs.lab import Lab, png

WAIT = 0.03  # seconds between a change and its answer; what else changes meanwhile is in the same answer
_WIDTH = "820px"


class View:
    """The widgets of a lab. ``root`` is what to display; ``close()`` removes everything.

    Each widget has a class ``s3rec-...`` that names it for tests and style sheets.
    """

    def __init__(self, lab: Lab):
        self.lab = lab
        self.alt = ""
        """the picture in words"""
        self.controls = {control.name: named(control.widget(), f"control-{control.name}") for control in lab.controls}
        self.presets = [
            button(f"preset-{index}", preset.label, partial(self.set, **preset.settings), preset.tooltip)
            for index, preset in enumerate(lab.presets)
        ]
        for preset in self.presets:
            preset.layout.width = "auto"
        # A picture in its own size: stretched to the width of the page it would be blurred.
        layout = {"max_width": "100%", "align_self": "flex-start"}
        self.image = named(widgets.Image(format="png", layout=layout), "picture")
        self.numbers = named(widgets.HTML(), "numbers")
        self.root = named(widgets.VBox(), f"lab-{lab.name}")

    def lay_out(self, *below: widgets.Widget) -> None:
        """Title, question and controls, and what else there is below them."""
        title = f"<b style='font-size:1.15em'>{html.escape(self.lab.title)}</b><br>{html.escape(self.lab.question)}"
        heading = widgets.HTML(f"<div style='max-width:{_WIDTH};line-height:1.4'>{title}</div>")
        self.root.children = (heading, *self.controls.values(), *below)

    def show_numbers(self, numbers: str) -> None:
        """Put these HTML numbers on the page."""
        self.numbers.value = f"<div style='max-width:{_WIDTH};line-height:1.5'>{numbers}</div>"

    def settings(self) -> dict[str, Any]:
        """What the controls say now."""
        return {name: widget.value for name, widget in self.controls.items()}

    def set(self, **settings: Any) -> Self:
        """Move controls from a program."""
        for name, value in settings.items():
            self.controls[name].value = value
        return self

    def close(self) -> None:
        """Close all widgets."""
        stack = [self.root]
        while stack:
            widget = stack.pop()
            stack.extend(getattr(widget, "children", ()))
            widget.close()


class LabView(View):
    """Shows the lab's answer to every change of a control."""

    def __init__(self, lab: Lab):
        super().__init__(lab)
        self.seconds: list[float] = []
        """what each answer took, from the settings to the picture"""
        self.facts: Mapping[str, Any] = {}
        """the numbers of the answer that is shown"""
        self._waiting: asyncio.TimerHandle | None = None
        for widget in self.controls.values():
            widget.observe(self._changed, names="value")
        back = "Back to where the lab opened"
        self.reset = button("reset", "Reset", lambda: self.set(**lab.defaults), back, icon="undo")
        # The picture before the numbers: a table that grows does not push it away from the sliders.
        self.lay_out(row_of([self.reset, *self.presets]), self.image, self.numbers)
        self.update()

    def set(self, **settings: Any) -> Self:
        """Move controls from a program; the answer is there when this returns."""
        super().set(**settings)
        self.update()
        return self

    def _changed(self, _change: Any) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside of a kernel there is nothing to wait for
            self.update()
            return
        if self._waiting is None:  # a pending one reads the settings when it runs; a held key must not put it off
            self._waiting = loop.call_later(WAIT, self.update)

    def update(self) -> None:
        """Compute the answer to the present settings and show it."""
        self._forget_waiting()
        begin = time.perf_counter()
        try:
            answer = self.lab.answer(**self.settings())
            self.show_numbers(answer.numbers)  # first: they are on their way while the picture is drawn
            self._show(png(answer.draw()), answer.alt, answer.facts)
        except Exception as error:  # a view must not die silently in a callback
            self.numbers.value = f"<b>{type(error).__name__}:</b> {html.escape(str(error))}"
            self._show(b"", "", {})
            return
        self.seconds.append(time.perf_counter() - begin)

    def _show(self, picture: bytes, alt: str, facts: Mapping[str, Any]) -> None:
        self.image.value, self.alt, self.facts = picture, alt, facts
        self.image.layout.display = None if picture else "none"

    def _forget_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def close(self) -> None:
        """Close all widgets and forget what was waiting."""
        self._forget_waiting()
        super().close()


def named(widget: Any, name: str) -> Any:
    """The widget, with the class ``s3rec-NAME``."""
    widget.add_class(f"s3rec-{name}")
    return widget


def button(name: str, label: str, action: Callable[[], Any], tooltip: str = "", icon: str = "") -> widgets.Button:
    """A button that calls ``action()``."""
    widget = named(widgets.Button(description=label, tooltip=tooltip, icon=icon), name)
    widget.on_click(lambda _: action())
    return widget


def row_of(buttons: Sequence[widgets.Widget]) -> widgets.Widget:
    """Buttons side by side."""
    return widgets.HBox(buttons, layout={"margin": "2px 0 6px 0", "flex_flow": "row wrap"})
