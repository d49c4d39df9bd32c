"""`oger methods`: what can be trained, one line each, or one method in full."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from oger.terminal.plain import say


def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this method in full.")] = None,
) -> None:
    """List the methods that a recipe's key `method` can name, or show one: its equation, source and options."""
    from oger.io import yaml as yaml_dialect
    from oger.recipes.methods import all_methods, load_method

    if name is None:
        from oger.reporting.tables import methods_table
        from oger.terminal.console import Terminal

        Terminal().print(methods_table(all_methods().values()))
        return
    method = load_method(name)
    say(f"{method.name}: {method.line}\n\n{method.equation.rstrip()}\n")
    say(f"source: {method.source}\ndeviations: {method.deviations}\noptions:")
    say(textwrap.indent(yaml_dialect.dump(dict(method.options)), "  "), nl=False)
    on_any = f"oger train RECIPE method={method.name}"
    say(f"\n{f'oger train {method.name}':<{len(on_any)}}  # on the embedded world\n{on_any}  # on any recipe")
