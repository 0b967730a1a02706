"""Jinja2 templates: Markdown in which every value is escaped unless it is `Md`, and autoescaped SVG."""

from functools import cache
from typing import TYPE_CHECKING, Any

from energylens.report.content.readable import bold, fenced, link, markdown

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **context: Any) -> str:
    """Fill one template of this package. An unknown name in it is an error, never an empty string."""
    kind = "svg" if template.endswith(".svg.j2") else "md"
    return _environment(kind).get_template(template).render(context)


@cache
def _environment(kind: str) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__),
        undefined=StrictUndefined,
        autoescape=kind == "svg",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=markdown if kind == "md" else None,
    )
    environment.filters |= {"bold": bold, "link": link, "fenced": fenced}
    return environment
