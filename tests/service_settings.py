"""The settings of a rendered service, read from its code."""

import ast
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """One field of a settings class."""

    kind: str
    """The annotation, as the code has it."""
    is_required: bool


def settings_of(service: Path) -> dict[str, Setting]:
    """Return all settings of the service's core by name."""
    files = [
        *service.glob("src/*/core/configuration.py"),
        *service.glob("src/*/core/*/*settings.py"),
    ]
    fields = [
        field
        for file in files
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    ]
    return {
        ast.unparse(field.target): Setting(ast.unparse(field.annotation), _is_required(field.value))
        for field in fields
    }


def _is_required(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":
        return not value.args and "default" not in {one.arg for one in value.keywords}
    return value is None
