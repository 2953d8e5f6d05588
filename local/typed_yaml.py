"""YAML into dataclasses: every key known, every value of its declared type, every error one line.

A key that nothing reads would be a setting that silently does nothing; here it is an error.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, Literal

import yaml

from data.errors import UserError
from data.spelling import nearest


def require(fact: bool, key: str, rule: str) -> None:
    """Raise the one line for the user when a value breaks a rule of its section."""
    if not fact:
        raise UserError(f"{key} {rule}")


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's mapping; a file that is missing, no YAML or no mapping is a UserError naming the line."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeys)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: no valid YAML ({error.problem})") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: must hold `key: value` lines")
    return tree


class UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here the second one is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def put(tree: dict[str, Any], override: str) -> None:
    """Set one `++a.b.c=value` in a tree of mappings; the value is read as YAML."""
    name, equals, value = override.removeprefix("++").partition("=")
    if not override.startswith("++") or not equals or not name:
        raise UserError(f"{override}: an override reads ++section.key=value")
    *sections, last = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise UserError(f"{override}: {section} is no section")
    try:
        tree[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"{override}: the value is no valid YAML") from None


def build(kind: Any, value: Any, where: str) -> Any:
    """A YAML value as `kind` (dataclass, list, Optional, Literal or plain type), or a UserError."""
    if dataclasses.is_dataclass(kind):
        return build_section(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else build(inner, value, where)
    if origin is Literal:
        require(value in arguments, where, f"is {value!r}, but must be {' or '.join(map(str, arguments))}")
        return value
    if origin is list:
        require(isinstance(value, list), where, f"is {value!r}, but must be a list")
        return [build(arguments[0], item, f"{where}[{number}]") for number, item in enumerate(value)]
    if origin is dict:
        require(isinstance(value, dict), where, f"is {value!r}, but must be a section of keys")
        return {str(key): build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return build_scalar(kind, value, where)


def build_section(kind: Any, value: Any, where: str) -> Any:
    """Build a dataclass from a mapping that holds all its required keys and no other."""
    require(isinstance(value, dict), where or "the file", f"is {value!r}, but must be a section of keys")
    fields = {item.name: item for item in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for key in value:
        if key not in fields:
            raise UserError(f"unknown key {prefix}{key}{nearest(str(key), fields)}")
    for item in fields.values():
        optional = item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING
        require(optional or item.name in value, f"{prefix}{item.name}", "is missing")
    hints = typing.get_type_hints(kind)
    return kind(**{key: build(hints[key], item, prefix + key) for key, item in value.items()})


def build_scalar(kind: type, value: Any, where: str) -> Any:
    """A bool, int, float or str. PyYAML reads `1e-4` (no dot) as text: taken for the number that it is."""
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    raise UserError(f"{where} is {value!r}, but must be {names[kind]}")
