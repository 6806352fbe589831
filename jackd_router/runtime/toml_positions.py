"""Where the keys and values of a TOML text stand: what tomllib does not tell. The only importer of tree_sitter."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from jackd_router.core.config import Path

Positions = dict[Path, tuple[int, int]]

_LANGUAGE = Language(tree_sitter_toml.language())
_KEYS = frozenset(("bare_key", "quoted_key", "dotted_key"))


def read_positions(text: bytes) -> tuple[Mapping[Path, tuple[int, int]], Mapping[Path, tuple[int, int]]]:
    """Give line and column, from 1, of the keys and of the values of a text that tomllib has accepted.

    What the two parsers understand differently is left out; the reader then falls back to what stands around it.
    """
    walk = _Walk(text)
    walk.visit_headers()
    return _Positions(walk.keys, walk), _Positions(walk.values, walk)


class _Positions(Mapping[Path, tuple[int, int]]):
    """Positions. Those of headers are there at once; for the others, which only mistakes are told with, somebody must ask."""

    def __init__(self, known: Positions, walk: _Walk) -> None:
        self._known, self._walk = known, walk

    def __getitem__(self, path: Path) -> tuple[int, int]:
        if path not in self._known:
            self._walk.visit_tables_of(path)
        return self._known[path]

    def __iter__(self) -> Iterator[Path]:
        self._walk.visit_all_tables()
        return iter(self._known)

    def __len__(self) -> int:
        self._walk.visit_all_tables()
        return len(self._known)


class _Walk:
    """One walk through the syntax tree. It keeps a list of what is to be done: a text can nest deeper than Python's stack."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._lines = text.split(b"\n")
        self.keys: Positions = {}
        self.values: Positions = {}
        self._lengths: dict[Path, int] = {}
        self._waiting: list[tuple[Node, Path]] = []
        self._tables: dict[Path, list[Node]] = {}
        """The pairs of each table that is not visited yet."""

    def visit_headers(self) -> None:
        """Visit the headers of all tables."""
        for node in Parser(_LANGUAGE).parse(self._text).root_node.named_children:
            if node.type == "pair":
                self._tables.setdefault((), []).append(node)
            elif node.type in ("table", "table_array_element"):
                base = self._open_table(node, is_array=node.type == "table_array_element")
                self._tables.setdefault(base, []).extend(child for child in node.named_children if child.type == "pair")

    def visit_tables_of(self, path: Path) -> None:
        """Visit what stands in the table of this path and in those around it, once."""
        for length in range(len(path) + 1):
            self._visit_table(path[:length])

    def visit_all_tables(self) -> None:
        """Visit what stands in all tables, once."""
        for base in list(self._tables):
            self._visit_table(base)

    def _visit_table(self, base: Path) -> None:
        self._waiting += [(pair, base) for pair in self._tables.pop(base, ())]
        while self._waiting:
            self._visit(*self._waiting.pop())

    def _open_table(self, node: Node, *, is_array: bool) -> Path:
        """Give the path that a header opens: it goes on in the last element of each array of tables that it names."""
        header = next((child for child in node.named_children if child.type in _KEYS), None)
        names = [name for name, _ in self._names(header)] if header else []
        path: Path = ()
        for index, name in enumerate(names):
            path = (*path, name)
            self.keys.setdefault(path, self._position(node))
            if is_array and index == len(names) - 1:
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
                self.keys.setdefault(path, self._position(node))
        return path

    def _visit(self, node: Node, base: Path) -> None:
        """Note a pair below its table, or the elements of an array."""
        if node.type == "pair":
            children = [child for child in node.named_children if child.type != "comment"]
            if len(children) == 2:
                path = base
                for name, key in self._names(children[0]):
                    path = (*path, name)
                    self.keys.setdefault(path, self._position(key))
                self._note_value(children[1], path)
        elif node.type == "array":
            for index, child in enumerate(child for child in node.named_children if child.type != "comment"):
                self._note_value(child, (*base, index))
        elif node.type == "inline_table":
            self._waiting += [(child, base) for child in node.named_children if child.type == "pair"]

    def _note_value(self, node: Node, path: Path) -> None:
        self.values.setdefault(path, self._position(node))
        if node.type in ("array", "inline_table"):
            self._waiting.append((node, path))

    def _names(self, key: Node) -> Iterator[tuple[str, Node]]:
        """Give each part of a key that may be dotted, with what it was read from."""
        parts = [key]
        while parts:
            part = parts.pop()
            if part.type == "dotted_key":
                parts += reversed(part.named_children)
            elif part.type == "quoted_key":
                (name,) = tomllib.loads(f"{self._source(part)} = 0")
                yield name, part
            else:
                yield self._source(part), part

    def _source(self, node: Node) -> str:
        return self._text[node.start_byte : node.end_byte].decode()

    def _position(self, node: Node) -> tuple[int, int]:
        """Give line and column in characters: the parser counts bytes."""
        row, column = node.start_point
        return row + 1, len(self._lines[row][:column].decode(errors="replace")) + 1
