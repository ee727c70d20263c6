# /// script
# requires-python = ">=3.11"
# dependencies = ["copier>=9.19.1,<10"]
# ///
"""Update a service to a newer release of Groundplan.

In the service's folder:

    uv run URL/extensions/update.py [OPTIONS OF copier update]

`copier update` merges a file that the template changed, but drops the edits in a file
that the template moved or removed. This command runs it and then merges those, too:
edits follow a moved file, and an edited file that the release removed stays, as a
conflict. extensions/moves.toml lists what moved. Imports of moved modules are rewritten
in the service's own files.

Everything happens in a temporary worktree and is copied into the service at the end,
so a failure changes nothing. It runs no code of the template and needs no --trust.

Exit status: 0 updated; 1 or Copier's own, nothing changed; 3 updated, and the report
names what you have to settle.
"""

import ast
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

import copier
import yaml

ANSWERS_FILE = ".copier-answers.yml"
MANIFEST = "extensions/moves.toml"

MARK = "groundplan-update-"
"""Part of the temporary folder's name. The template refuses a plain `copier update` that
would lose edits, and recognises this command by it: see extensions/macros/questions.jinja."""

LABELS = ["before updating", "last update", "after updating"]
"""The conflict markers' labels, as Copier writes them."""

TO_SETTLE = 3

Tree = dict[str, bytes]
"""The files of a service by path, with `\\n` as line ending."""


def refuse(reason: str) -> NoReturn:
    """End before anything has changed."""
    print(f"Not updated: {reason}", file=sys.stderr)
    sys.exit(1)


def git(*arguments: str | Path, cwd: Path, stdin: bytes = b"") -> bytes:
    """Run a git command that has to succeed and return its output."""
    command = ["git", *map(str, arguments)]
    finished = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=False)
    if finished.returncode:
        refuse(f"`{' '.join(command)}` failed: {finished.stderr.decode().strip()}")
    return finished.stdout


def succeeds(*arguments: str | Path, cwd: Path) -> bool:
    """Run a git command and return whether it succeeds."""
    command = ["git", *map(str, arguments)]
    return not subprocess.run(command, cwd=cwd, capture_output=True, check=False).returncode


def with_line_feeds(content: bytes) -> bytes:
    """Return a text as git stores it; a binary file stays as it is."""
    return content if b"\0" in content else content.replace(b"\r\n", b"\n")


def read_tree(folder: Path) -> Tree:
    """Read every file below a folder but git's own."""
    return {
        path.relative_to(folder).as_posix(): with_line_feeds(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def merge(ours: bytes, base: bytes, theirs: bytes) -> tuple[bytes, bool]:
    """Merge three versions; return the result and whether it holds conflicts."""
    if ours in (base, theirs):
        return theirs, False
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for file, content in zip(files, (ours, base, theirs), strict=True):
            file.write_bytes(content)
        labels = [part for label in LABELS for part in ("-L", label)]
        command = ["git", "merge-file", "-p", *labels, *map(str, files)]
        finished = subprocess.run(command, capture_output=True, check=False)
    # The status is the number of conflicts; above 127 it is an error, as for a binary file.
    if finished.returncode > 127:
        return ours, True
    return finished.stdout, finished.returncode > 0


# MOVES ------------------------------------------------------------------------


@dataclass
class Listing:
    """Modules that a service found by their name before a release, and lists since."""

    role: str
    layer: str
    lists: list[str]
    """Where they are listed: the first of these files that exists."""
    lines: list[list[str]]
    """Marks in that file, each with the line that goes below it."""

    def feature(self, path: str) -> str:
        """Name the feature that a file has this role for, or nothing."""
        folder, name = path.removesuffix(".py").split("/")[-2:]
        if not path.startswith("src/") or not path.endswith(".py") or path in self.lists:
            return ""
        if name == self.role:
            return folder
        return name if folder == self.layer and not name.startswith("_") else ""


class Moves:
    """What each release of a manifest changed, for one package name.

    The releases of the manifest that the service already has are left out.
    """

    def __init__(self, manifest: str, passed: str, package: str) -> None:
        self.moved: list[dict[str, list[str]]] = []
        self.removed: dict[str, str] = {}
        self.merged: list[str] = []
        self.listed: list[Listing] = []

        def named(path: str) -> str:
            return path.replace("{package}", package)

        before = tomllib.loads(passed)
        for name, release in tomllib.loads(manifest).items():
            if name in before:
                continue
            self.merged += map(named, release.get("merged", []))
            for listed in release.get("listed", []):
                lists = [*map(named, listed["lists"])]
                self.listed.append(Listing(listed["role"], listed["layer"], lists, listed["lines"]))
            self.moved.append(
                {
                    named(old): [named(path) for path in ([new] if isinstance(new, str) else new)]
                    for old, new in release.get("moved", {}).items()
                }
            )
            self.removed |= {named(old): why for old, why in release.get("removed", {}).items()}

    def targets(self, path: str, existing: Iterable[str]) -> list[str]:
        """Follow a path through the releases to those that exist now."""
        paths = [path]
        for moved in self.moved:
            paths = [new for old in paths for new in moved.get(old, [old])]
        return [new for new in paths if new in existing and new != path]

    def reason(self, path: str) -> str:
        """Return why a file was removed, or nothing for one that is not declared."""
        matching = (why for old, why in self.removed.items() if fnmatchcase(path, old))
        return next(matching, "")


# IMPORTS ----------------------------------------------------------------------


def module_of(path: str) -> str:
    """Name the module in a file: `src/shop/core/__init__.py` is shop.core."""
    parts = path.removeprefix("src/").removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def names_in(source: bytes) -> tuple[set[str], set[str]]:
    """List the names that a module defines at its top level, and those it imports."""
    defined: set[str] = set()
    imported: set[str] = set()

    def visit(statements: list[ast.stmt]) -> None:
        for node in statements:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    defined.add(node.name)
                case ast.Import() | ast.ImportFrom():
                    imported.update((n.asname or n.name).split(".")[0] for n in node.names)
                case ast.If() | ast.Try() | ast.With():
                    for part in ("body", "orelse", "finalbody", "handlers"):
                        for inner in getattr(node, part, []):
                            visit(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])
                case _:
                    targets = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
                    defined.update(n.id for n in targets if isinstance(n.ctx, ast.Store))

    if parses(source):
        visit(ast.parse(source).body)
    return defined, imported


def parses(source: bytes) -> bool:
    """Tell whether a source is Python; one with conflict markers is not."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


class Modules:
    """The Python modules of a tree and what each provides."""

    def __init__(self, tree: Tree) -> None:
        self.paths = {module_of(path): path for path in sorted(tree) if path.endswith(".py")}
        self._tree = tree
        self._names: dict[str, tuple[set[str], set[str]]] = {}
        self._added: dict[str, set[str]] = {}
        self._defining: dict[str, list[str]] | None = None

    def add(self, module: str, names: set[str]) -> None:
        """Record names that the owner defines in a module."""
        self._added.setdefault(module, set()).update(names)

    def names(self, module: str) -> tuple[set[str], set[str]]:
        """Return what a module defines and what it imports."""
        if module not in self._names:
            path = self.paths.get(module)
            self._names[module] = names_in(self._tree[path]) if path else (set(), set())
        return self._names[module]

    def defines(self, module: str, name: str) -> bool:
        """Tell whether a name is defined in a module."""
        return name in self.names(module)[0] or name in self._added.get(module, ())

    def provides(self, module: str, name: str) -> bool:
        """Tell whether a name can be imported from a module."""
        return (
            name == "*"
            or self.defines(module, name)
            or name in self.names(module)[1]
            or f"{module}.{name}" in self.paths
        )

    def defining(self, name: str) -> list[str]:
        """List the modules that define a name."""
        if self._defining is None:
            self._defining = {}
            for module in self.paths:
                for defined in self.names(module)[0]:
                    self._defining.setdefault(defined, []).append(module)
        return self._defining.get(name, [])


@dataclass
class Imports:
    """Finds the new place of what a file imports from a module of the old release."""

    old: Modules
    new: Modules
    moves: Moves

    def targets(self, module: str) -> list[str]:
        """List the modules that a module of the old release became."""
        path = self.old.paths[module]
        return [module_of(new) for new in self.moves.targets(path, self.new.paths.values())]

    def gone(self, module: str) -> bool:
        """Tell whether the file of an old module is no longer at its place."""
        path = self.old.paths.get(module)
        return path is not None and path not in self.new.paths.values()

    def place(self, module: str, name: str) -> str | None:
        """Find the module to import a name from, which is the old one where that works."""
        if module not in self.old.paths or self.new.provides(module, name):
            return module
        for provided in (self.new.defines, self.new.provides):
            found = [new for new in self.targets(module) if provided(new, name)]
            if found:
                return found[0]
        if not self.old.provides(module, name):
            return None if self.gone(module) else module
        top = module.partition(".")[0]
        found = [new for new in self.new.defining(name) if new.partition(".")[0] == top]
        return found[0] if len(found) == 1 else None

    def module_place(self, module: str, attributes: set[str]) -> str | None:
        """Find the module to bind where an old module itself was imported."""
        works = all(self.new.provides(module, name) for name in attributes)
        if module in self.new.paths and works and (attributes or not self.gone(module)):
            return module
        places = {self.place(module, attribute) for attribute in attributes}
        if not attributes:
            places = set(self.targets(module))
        return places.pop() if len(places) == 1 else None


def absolute(node: ast.ImportFrom, package: list[str]) -> str:
    """Name the module that an import is from."""
    if not node.level:
        return node.module or ""
    parts = package[: len(package) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def imported(source: bytes, package: list[str]) -> set[str]:
    """Name what a file imports from: modules, and what may be one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)) if parses(source) else ():
        if isinstance(node, ast.ImportFrom):
            module = absolute(node, package)
            found |= {module, *(f"{module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def reference(module: str, package: list[str], *, relative: bool) -> str:
    """Write a module as a file of a package refers to it."""
    parts = module.split(".")
    same = 0
    while same < min(len(parts), len(package)) and parts[same] == package[same]:
        same += 1
    if not relative or not same:
        return module
    return "." * (len(package) - same + 1) + ".".join(parts[same:])


def package_of(path: str) -> list[str]:
    """Name the package that the relative imports of a file start from."""
    return path.removeprefix("src/").split("/")[:-1]


def written(module: str, names: list[ast.alias], indent: str) -> str:
    """Write one import statement, within 88 columns."""
    texts = [f"{n.name} as {n.asname}" if n.asname else n.name for n in names]
    line = f"from {module} import {', '.join(texts)}"
    if len(indent + line) <= 88:
        return line
    inner = "".join(f"{indent}    {text},\n" for text in texts)
    return f"from {module} import (\n{inner}{indent})"


@dataclass
class Rewritten:
    """A file with its imports brought up to date."""

    source: bytes
    changed: bool = False
    unresolved: list[str] = field(default_factory=list)
    """What a person has to change: `12: from ..core.x import y`."""


class Rewriter:
    """Rewrites the imports of one file that may itself have moved."""

    def __init__(self, imports: Imports, source: bytes, old_path: str, new_path: str) -> None:
        self._imports = imports
        self._source = source
        self._moved = old_path != new_path
        self._old_package, self._new_package = package_of(old_path), package_of(new_path)
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._edits: list[tuple[int, int, str]] = []
        self._unresolved: list[str] = []

    def run(self) -> Rewritten:
        """Rewrite every import statement whose module moved."""
        if not parses(self._source):
            return Rewritten(self._source)
        tree = ast.parse(self._source)
        attributes: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                attributes.setdefault(node.value.id, set()).add(node.attr)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self._from(node, attributes)
            elif isinstance(node, ast.Import):
                self._import(node, attributes)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._text(node, node.value)
        result = self._source
        for start, end, text in sorted(self._edits, reverse=True):
            result = result[:start] + text.encode() + result[end:]
        return Rewritten(result, bool(self._edits), self._unresolved)

    def _span(self, node: ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _report(self, node: ast.stmt | ast.Constant, text: str) -> None:
        self._unresolved.append(f"{node.lineno}: {text}")

    def _from(self, node: ast.ImportFrom, attributes: dict[str, set[str]]) -> None:
        module = absolute(node, self._old_package)
        groups: dict[str, list[ast.alias]] = {}
        for name in node.names:
            whole = f"{module}.{name.name}"
            place: str | None
            if self._imports.gone(whole):
                bound = name.asname or name.name
                place = self._imports.module_place(whole, attributes.get(bound, set()))
                if place is not None and place != whole:
                    parent, _, leaf = place.rpartition(".")
                    name = ast.alias(leaf, bound if bound != leaf else None)  # noqa: PLW2901
                    place = parent
                elif place == whole:
                    place = module
            else:
                place = self._imports.place(module, name.name)
            if place is None:
                before = reference(module, self._old_package, relative=bool(node.level))
                self._report(node, f"from {before} import {name.name}")
                place = module
            groups.setdefault(place, []).append(name)
        if list(groups) == [module] and not (self._moved and node.level):
            return
        if [name for names in groups.values() for name in names] == node.names and len(groups) == 1:
            self._replace_module(node, next(iter(groups)))
        else:
            self._replace(node, groups)

    def _replace_module(self, node: ast.ImportFrom, module: str) -> None:
        """Replace only the module, so that names and comments stay as they are."""
        start, end = self._span(node)
        found = re.match(rb"from\s+((?:\.|\s)*[\w.]*)\s+import\b", self._source[start:end])
        text = reference(module, self._new_package, relative=bool(node.level))
        if found is not None and found[1].decode() != text:
            self._edits.append((start + found.start(1), start + found.end(1), text))

    def _replace(self, node: ast.ImportFrom, groups: dict[str, list[ast.alias]]) -> None:
        """Replace a statement by one for each module, comments above them."""
        start, end = self._span(node)
        before = self._source[self._starts[node.lineno - 1] : start].decode()
        alone = not before.strip()
        segment = self._source[start:end].decode()
        comments = re.findall(r"#.*", segment) if alone else []
        statements = [
            written(reference(m, self._new_package, relative=bool(node.level)), names, before)
            for m, names in sorted(groups.items())
        ]
        separator = f"\n{before}" if alone else "; "
        self._edits.append((start, end, separator.join([*comments, *statements])))

    def _import(self, node: ast.Import, attributes: dict[str, set[str]]) -> None:
        for name in node.names:
            if not self._imports.gone(name.name):
                continue
            used = attributes.get(name.asname or "", set())
            place = self._imports.module_place(name.name, used) if name.asname else None
            if place is None or len(node.names) > 1:
                self._report(node, f"import {name.name}")
            elif place != name.name:
                self._edits.append((*self._span(node), f"import {place} as {name.asname}"))

    def _text(self, node: ast.Constant, text: str) -> None:
        """Report a text such as "shop.core.database.engine", as patches name their target."""
        if re.fullmatch(r"\w+(\.\w+)+", text) and missing(text, self._imports):
            self._report(node, f'"{text}"')


def missing(dotted: str, imports: Imports) -> bool:
    """Tell whether a dotted name led to something in the old release that is not there now."""
    parts = dotted.split(".")
    for length in range(len(parts), 1, -1):
        module = ".".join(parts[:length])
        if module in imports.old.paths:
            rest = parts[length : length + 1]
            if not imports.gone(module):
                return False
            return not rest or not imports.new.provides(module, rest[0])
    return False


# THE UPDATE -------------------------------------------------------------------


@dataclass
class Report:
    """What an update did that `git diff` does not show by itself."""

    conflicts: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    unresolved: list[str] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    once: list[str] = field(default_factory=list)
    listed: dict[str, str] = field(default_factory=dict)
    deleted: dict[str, str] = field(default_factory=dict)
    rewritten: list[str] = field(default_factory=list)

    def to_settle(self) -> bool:
        """Tell whether a person has to do something."""
        return bool(self.conflicts or self.kept or self.aside or self.unresolved)

    def text(self, releases: str) -> str:
        """Write the report."""
        sections: list[tuple[str, Iterable[str]]] = [
            ("Conflicts: both you and the release changed these lines.", self.conflicts),
            (
                (
                    "Removed by the release, but edited by you, so they are still there. Move your "
                    "edit\nto where it belongs and `git rm` the file, or keep it with `git add`."
                ),
                [f"{path}\n    {why}" for path, why in self.kept.items()],
            ),
            (
                "Ignored by git, so yours stay as they are; the release's version is beside them.",
                [f"{path}\n    {new}" for path, new in self.aside.items()],
            ),
            ("To change by hand: these no longer exist under this name.", self.unresolved),
            (
                "Moved, with your edits.",
                [f"{old}\n    {new}" for old, new in self.merged.items()],
            ),
            ("Written once, but this release does not work without its change to it.", self.once),
            (
                "Left out, because you had deleted what they were before.",
                [f"{new}\n    {old}" for old, new in self.deleted.items()],
            ),
            (
                "Found by name until now: these are added to a list, or dropped if deleted.",
                [f"{module}\n    {path}" for module, path in self.listed.items()],
            ),
            ("Your files whose imports were rewritten.", self.rewritten),
        ]
        parts = [f"Updated from {releases}."]
        for title, lines in sections:
            entries = "\n".join(f"  {line}" for line in lines)
            if entries:
                parts.append(f"{title}\n{entries}")
        if not self.to_settle():
            parts.append("Nothing is left to settle.")
        return "\n\n".join(parts)


class Update:
    """One update, computed in a temporary worktree of the service."""

    def __init__(self, service: Path, scratch: Path, options: list[str]) -> None:
        self.service, self.scratch, self.options = service, scratch, options
        self.prefix = git("rev-parse", "--show-prefix", cwd=service).decode().strip()
        self.work = scratch / "work" / self.prefix
        self.report = Report()

    def run(self) -> Report:
        """Compute the update and copy it into the service."""
        self._check()
        work = self.scratch / "work"
        git("worktree", "add", "--quiet", "--detach", work, "HEAD", cwd=self.service)
        try:
            self._prepare()
            self._follow_edits()
            self._follow_deletions()
            self._list()
            self._rewrite()
            self._finish()
        finally:
            git("worktree", "remove", "--force", work, cwd=self.service)
        return self.report

    def _check(self) -> None:
        """Refuse what cannot be updated."""
        if not (self.service / ANSWERS_FILE).is_file():
            refuse(f"there is no {ANSWERS_FILE} here; run this in the folder of a service.")
        if not succeeds("ls-files", "--error-unmatch", ANSWERS_FILE, cwd=self.service):
            refuse(f"{ANSWERS_FILE} is not committed.")
        if git("status", "--porcelain", "--", ".", cwd=self.service):
            refuse("commit or stash your local changes first.")
        self.old_answers = read_answers(self.service)
        source, commit = self.old_answers.get("_src_path"), self.old_answers.get("_commit")
        if not source or not commit:
            refuse(f"{ANSWERS_FILE} has no _src_path and _commit, which Copier writes there.")
        self.repository = self.scratch / "template.git"
        address = git_address(str(source))
        if not succeeds("clone", "--quiet", "--bare", address, self.repository, cwd=self.service):
            refuse(f"git cannot clone {source}, the _src_path in {ANSWERS_FILE}.")
        if self._shown("HEAD") is None:
            refuse(
                f"{source}, the _src_path in {ANSWERS_FILE}, is not Groundplan 0.5.0 or later: "
                f"it has no {MANIFEST}."
            )
        if not succeeds("rev-parse", "--verify", f"{commit}^{{commit}}", cwd=self.repository):
            refuse(f"{source} has no release {commit}, which {ANSWERS_FILE} names.")

    def _shown(self, commit: str) -> str | None:
        """Read the manifest of a release, if it has one."""
        command = ["git", "show", f"{commit}:{MANIFEST}"]
        shown = subprocess.run(command, cwd=self.repository, capture_output=True, check=False)
        return None if shown.returncode else shown.stdout.decode()

    def _prepare(self) -> None:
        """Run `copier update`, and render both releases to compare with."""
        self.mine = read_tree(self.work)
        self.old = self._rendered("old")
        command = [sys.executable, "-m", "copier", "update", *self.options, str(self.work)]
        status = subprocess.run(command, cwd=self.service, check=False).returncode
        if status:
            print("Not updated: nothing has changed.", file=sys.stderr)
            sys.exit(status)
        self.new_answers = read_answers(self.work)
        package, renamed = (a["package_name"] for a in (self.old_answers, self.new_answers))
        if renamed != package:
            refuse(f"package_name: it is chosen once; this service stays {package}.")
        self.package = str(package)
        self.new = self._rendered("new")
        self.moves = Moves(
            self._shown(self.new_answers["_commit"]) or "",
            self._shown(self.old_answers["_commit"]) or "",
            self.package,
        )
        self.result = read_tree(self.work)

        own = {p: b for p, b in self.mine.items() if p not in self.old and p not in self.new}
        merged = {
            p: b
            for p, b in self.result.items()
            if p in self.new and p.endswith(".py") and parses(b)
        }
        modules = Modules({**own, **self.new, **merged})
        self.imports = Imports(Modules(self.old), modules, self.moves)
        for path in self._edited():
            added = names_in(self.mine[path])[0] - names_in(self.old[path])[0]
            for place in self.moves.targets(path, self.new)[:1] or [path]:
                modules.add(module_of(place), added)

    def _rendered(self, name: str) -> Tree:
        """Render the release that the worktree's answers name, with those answers."""
        folder = self.scratch / name
        folder.mkdir()
        shutil.copy(self.work / ANSWERS_FILE, folder)
        commit = read_answers(folder)["_commit"]
        copier.run_recopy(folder, vcs_ref=commit, defaults=True, overwrite=True, quiet=True)
        return read_tree(folder)

    def _edited(self) -> Iterator[str]:
        """List the template's files that the owner edited."""
        for path in sorted(self.old.keys() & self.mine.keys()):
            if self.mine[path] != self.old[path] and path != ANSWERS_FILE:
                yield path

    def _follow_edits(self) -> None:
        """Take the owner's edits to where the release moved the files."""
        for path in self.moves.merged:
            if path in self.old and path in self.mine and path in self.new:
                self._merge_once(path)
        for path in self._edited():
            if path in self.new:
                self._verify(path)
            elif path not in self.result:
                targets = [t for t in self.moves.targets(path, self.new) if t not in self.mine]
                if targets:
                    self._merge(path, targets)
                else:
                    self._keep(path)

    def _follow_deletions(self) -> None:
        """Leave out what the owner had deleted before the release moved it."""
        sources: dict[str, list[str]] = {}
        for path in sorted(self.old.keys() - self.new.keys()):
            for target in self.moves.targets(path, self.new):
                sources.setdefault(target, []).append(path)
        for target, paths in sources.items():
            if target not in self.old and not any(path in self.mine for path in paths):
                (self.work / target).unlink(missing_ok=True)
                self.report.deleted[", ".join(paths)] = target

    def _merge_once(self, path: str) -> None:
        """Merge a file that no other update touches, because the release needs its change."""
        merged, conflict = merge(self.mine[path], self.old[path], self.new[path])
        if merged != self.mine[path]:
            self._write(path, merged)
            self.report.once.append(path)
        if conflict:
            self._unmerge(path, self.old[path], self.mine[path], self.new[path])

    def _list(self) -> None:
        """List the owner's features, and drop the deleted ones from the lists."""
        for listing in self.moves.listed:
            for path in listing.lists:
                file = self.work / path
                if file.is_file() and all(mark in file.read_text() for mark, _ in listing.lines):
                    self._drop_deleted(path, listing)
                    self._add_own(path, listing)

    def _add_own(self, path: str, listing: Listing) -> None:
        """Add a line below each mark for every feature of the owner's."""
        file = self.work / path
        for own in sorted(self.mine.keys() - self.old.keys() - self.new.keys(), reverse=True):
            feature = listing.feature(own) if "/" in own else ""
            module = module_of(own)
            if not feature or module in imported(file.read_bytes(), package_of(path)):
                continue
            parent, _, leaf = module.rpartition(".")
            words = {
                "feature": feature,
                "module": reference(module, package_of(path), relative=True),
                "parent": reference(parent, package_of(path), relative=True),
                "leaf": leaf,
            }
            text = file.read_text("utf-8")
            for mark, line in listing.lines:
                found = re.search(rf"(?m)^( *){re.escape(mark)}\n", text)
                if found is not None:
                    added = re.sub(r" (\w+) as \1$", r" \1", line.format_map(words))
                    text = f"{text[: found.end()]}{found[1]}{added}\n{text[found.end() :]}"
            file.write_text(text, "utf-8")
            self.report.listed[own] = path

    def _drop_deleted(self, path: str, listing: Listing) -> None:
        """Drop the features that the owner had deleted."""
        file = self.work / path
        deleted = {module_of(name) for name in self.new if not (self.work / name).exists()}
        source = file.read_bytes()
        if not parses(source):
            return
        lines = source.decode().splitlines(keepends=True)
        for node in ast.parse(source).body:
            if not isinstance(node, ast.ImportFrom):
                continue
            module = absolute(node, package_of(path))
            if module not in deleted or node.end_lineno is None:
                continue
            names = [name.asname or name.name for name in node.names]
            uses = {line.format(feature=n) for _, line in listing.lines[1:] for n in names}
            for number, line in enumerate(lines):
                inside = node.lineno <= number + 1 <= node.end_lineno
                if inside or line.strip() in uses:
                    lines[number] = ""
            self.report.listed[f"{module} (deleted by you)"] = path
        file.write_text("".join(lines), "utf-8")

    def _verify(self, path: str) -> None:
        """Repeat Copier's merge where the owner's edit is not in its result.

        It takes the template's version of a binary file, for example.
        """
        if self.result.get(path) != self.new[path] or path in self.moves.merged:
            return
        merged, conflict = merge(self.mine[path], self.old[path], self.new[path])
        if merged != self.new[path]:
            self._write(path, merged)
            if conflict:
                self._unmerge(path, self.old[path], self.mine[path], self.new[path])

    def _merge(self, path: str, targets: list[str]) -> None:
        """Merge the edits of a moved file into the best of its targets."""
        best: tuple[int, str, bytes, list[bytes], list[str]] | None = None
        for target in targets:
            ours = Rewriter(self.imports, self.mine[path], path, target).run()
            base = Rewriter(self.imports, self.old[path], path, target).run().source
            # Several files can have moved into one: the next merge builds on the one before.
            is_shared = target in self.report.merged.values()
            theirs = self.result[target] if is_shared else self.new[target]
            merged, _ = merge(ours.source, base, theirs)
            count = merged.count(b"<<<<<<< ")
            if best is None or count < best[0]:
                versions = [base, ours.source, theirs]
                best = count, target, merged, versions, ours.unresolved
        assert best is not None
        count, target, merged, versions, unresolved = best
        self._write(target, merged)
        self.report.merged[path] = target
        self.report.unresolved += [f"{target}:{line}" for line in unresolved]
        if count:
            self._unmerge(target, *versions)

    def _keep(self, path: str) -> None:
        """Keep an edited file that the release removed, as git does in a merge."""
        self._write(path, self.mine[path])
        self._unmerge(path, self.old[path], self.mine[path])
        because = "The new release, with your answers, does not have it."
        self.report.kept[path] = self.moves.reason(path) or because

    def _write(self, path: str, content: bytes) -> None:
        file = self.work / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.result[path] = content

    def _unmerge(self, path: str, *versions: bytes) -> None:
        """Record a conflict in the index: base, ours and, unless deleted, theirs."""
        entries = [f"0 {'0' * 40}\t{self.prefix}{path}\n"]
        for stage, version in enumerate(versions, 1):
            blob = git("hash-object", "-w", "--stdin", cwd=self.work, stdin=version).decode()
            entries.append(f"100644 {blob.strip()} {stage}\t{self.prefix}{path}\n")
        git("update-index", "--index-info", cwd=self.work, stdin="".join(entries).encode())

    def _rewrite(self) -> None:
        """Rewrite the imports in every file that is not as the release made it."""
        moved = set(self.report.merged.values())
        deleted = {module_of(path) for path in self.new if not (self.work / path).exists()}
        for path in sorted(self.result):
            source = (self.work / path).read_bytes() if (self.work / path).is_file() else b""
            if path.endswith(".py"):
                self.report.unresolved += [
                    f"{path}: imports {module}, which you deleted"
                    for module in sorted(deleted & imported(source, package_of(path)))
                ]
            if not source or with_line_feeds(source) == self.new.get(path):
                continue
            if path.endswith(".py"):
                done = Rewriter(self.imports, source, path, path).run()
                if done.changed:
                    (self.work / path).write_bytes(done.source)
                    self.report.rewritten.append(path)
                if path not in self.report.kept and path not in moved:
                    self.report.unresolved += [f"{path}:{line}" for line in done.unresolved]
            elif path in self.mine and path not in (ANSWERS_FILE, "uv.lock"):
                self._mentions(path, source)

    def _mentions(self, path: str, source: bytes) -> None:
        """Report a module of the old release that another file names: settings of tools."""
        if path.endswith((".md", ".json", ".ipynb")) or b"\0" in source:
            return
        for number, line in enumerate(source.decode(errors="replace").splitlines(), 1):
            for dotted in re.findall(rf"\b{self.package}(?:\.\w+)+", line):
                if missing(dotted, self.imports):
                    self.report.unresolved.append(f"{path}:{number}: {dotted}")

    def _finish(self) -> None:
        """Copy the result into the service."""
        unmerged = git("ls-files", "--unmerged", "-z", cwd=self.work).split(b"\0")[:-1]
        conflicts = {entry.partition(b"\t")[2].decode() for entry in unmerged}
        result = {
            path.relative_to(self.work).as_posix(): path
            for path in self.work.rglob("*")
            if path.is_file() and ".git" not in path.relative_to(self.work).parts
        }
        conflicts |= {path for path in result if path.endswith(".rej") and path not in self.mine}
        self.report.conflicts = sorted(conflicts - self.report.kept.keys())

        self._set_aside()
        for path in self.mine.keys() - result.keys():
            remove(self.service / path, self.service)
        for path, file in result.items():
            if path in self.mine and with_line_feeds(file.read_bytes()) == self.mine[path]:
                continue
            there = self.service / path
            if path not in self.mine and there.exists():
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)
        prefix = self.prefix.encode()
        entries = [entry.replace(b"\t", b"\t" + prefix, 1) for entry in unmerged]
        removals = {b"0 " + b"0" * 40 + b"\t" + e.partition(b"\t")[2] for e in entries}
        lines = b"".join(line + b"\0" for line in [*sorted(removals), *entries])
        git("update-index", "-z", "--index-info", cwd=self.service, stdin=lines)

    def _set_aside(self) -> None:
        """Put the release's version beside a file that git ignores, and leave that alone."""
        for path, content in sorted(self.new.items()):
            there = self.service / path
            if path in self.mine or not there.is_file() or content == self.old.get(path):
                continue
            if with_line_feeds(there.read_bytes()) != content:
                beside = f"{path}.from-template"
                (self.service / beside).write_bytes(content)
                self.report.aside[path] = beside


def remove(file: Path, root: Path) -> None:
    """Delete a file and the folders that are empty without it."""
    file.unlink(missing_ok=True)
    for folder in file.parents:
        if folder == root or not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def read_answers(folder: Path) -> dict[str, Any]:
    """Read the answers of a service."""
    answers: dict[str, Any] = yaml.safe_load((folder / ANSWERS_FILE).read_text("utf-8")) or {}
    return answers


def git_address(source: str) -> str:
    """Write the template's address as git understands it: Copier knows short forms."""
    for short, long in (
        ("gh:", "https://github.com/"),
        ("gl:", "https://gitlab.com/"),
        ("git+", ""),
    ):
        if source.startswith(short):
            return long + source.removeprefix(short)
    return str(Path(source).expanduser()) if source.startswith("~") else source


def main() -> None:
    """Update the service in the current folder."""
    options = sys.argv[1:]
    if {"-h", "--help"} & set(options):
        print(__doc__)
        return
    service = Path.cwd()
    if not succeeds("rev-parse", "--verify", "HEAD", cwd=service):
        refuse("this is not a git repository with a commit.")
    with tempfile.TemporaryDirectory(prefix=MARK) as folder:
        update = Update(service, Path(folder).resolve(), options)
        report = update.run()
    releases = f"{update.old_answers['_commit']} to {update.new_answers['_commit']}"
    print(f"\n{report.text(releases)}")
    sys.exit(TO_SETTLE if report.to_settle() else 0)


if __name__ == "__main__":
    main()
