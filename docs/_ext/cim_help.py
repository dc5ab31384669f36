"""The directive ``{cim-help}``: what `cim --help` and every `cim COMMAND --help` print, taken from the command itself while building."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive


def help_texts() -> list[tuple[str, str]]:
    """Return the words of each command and its help, the command itself first."""
    import typer.main

    from cim.cli import app

    root = typer.main.get_command(app)
    found: list[tuple[str, str]] = []
    _collect(root, ["cim"], found, root.make_context("cim", [], resilient_parsing=True))
    return found


def _collect(command: Any, words: list[str], found: list[tuple[str, str]], context: Any) -> None:
    context.terminal_width = context.max_content_width = 100
    found.append((" ".join(words), command.get_help(context)))
    for name, inner in getattr(command, "commands", {}).items():
        with inner.make_context(name, [], parent=context, resilient_parsing=True) as below:
            _collect(inner, [*words, name], found, below)


class CimHelp(Directive):
    """One section per command, with its help as it is printed."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        out: list[nodes.Node] = []
        for words, printed in help_texts():
            section = nodes.section(ids=[words.replace(" ", "-")], names=[words])
            section += nodes.title(words, words)
            section += nodes.literal_block(printed, printed, language="text")
            out.append(section)
        return out


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("cim-help", CimHelp)
    return {"parallel_read_safe": True}
