"""The design's rules that can be read from source: pure functions of a module's path and text.

A rule takes a `Module` and yields one line for each violation; test_architecture.py applies all
of them to the package and plants a violation of each.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

PACKAGE = "lfs_ray"
ROOMS_IN_ORDER = (
    ("errors",),
    ("config",),
    ("seeds", "storage"),
    ("losses", "models", "data", "evaluation", "search", "trials"),
    ("training",),
    ("execution",),
    ("driver",),
    ("compare", "export", "plan"),
    ("commands",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(ROOMS_IN_ORDER) for room in rooms}
LEAF_ROOMS = frozenset(ROOMS_IN_ORDER[3])
# Names resolved at first use, commands imported when called, and configurations that are read
# before torch and Ray are loaded: the only imports in functions.
LAZY_MODULES = frozenset(
    {"__init__.py", "cli.py", "commands/fits.py"}
    # Torch, only where a model is given.
    | {"commands/data_doctor.py", "commands/data_overlap.py", "commands/data_noise.py"}
)
# Policies that rest on packages which take a second to import, or are an extra.
OPTIONAL_PACKAGES = frozenset({"search/policy.py", "search/tpe.py"})

OUTSIDE_ROOMS_THAT_MAY = {
    "ray": frozenset({"execution"}),
    "torch": frozenset({"losses", "models", "training", "execution", "export", "plan", "compare"}),
    "matplotlib": frozenset({"trials"}),
    "tyro": frozenset({"config"}),
}
# The search is a function of its arguments: no I/O, clock, process or hidden randomness.
NOT_IN_SEARCH = frozenset(
    {"asyncio", "datetime", "io", "os", "pathlib", "random", "socket", "subprocess", "tempfile"}
    | {"threading", "time", "pandas", "pyarrow"}
)
UNPICKLERS = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"})
# The reader of `.bin` sets, which unpickles by stand-ins of its own; it alone, and pickle alone.
UNPICKLING_MODULES = {"data/bin_pickle.py": frozenset({"pickle"})}
OBJECT_READERS = UNPICKLERS | {"yaml"}
RUNNERS = frozenset({"eval", "exec", "compile", "os.system", "os.popen"})
LOADERS = (".load", ".loads", ".load_all", ".full_load", ".unsafe_load", ".Unpickler")
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "manager"})
# Spelt in two parts so that a search for them finds only real ones.
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60


@dataclass(frozen=True)
class Module:
    """One source file; `path` is relative to the package: `search/policy.py`."""

    path: PurePosixPath
    text: str

    @property
    def room(self) -> str:
        """First folder, or the file's stem at the root (`__init__` for the package itself)."""
        return self.path.parts[0].removesuffix(".py")

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def is_generated(self) -> bool:
        return self.path.name.endswith("_pb2.py")


def imported(module: Module) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything the module imports, at any depth."""
    package = (PACKAGE, *module.path.parts[:-1])
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*base, *filter(None, [node.module])))
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def import_order(module: Module) -> Iterator[str]:
    """A room imports rooms of lower rank, or itself; leaf rooms get plain parameters."""
    if module.room != "__init__" and module.room not in RANK:
        yield f"{module.path}: room {module.room!r} is not in the order"
        return
    for line, name in imported(module):
        if name.split(".")[0] != PACKAGE:
            continue
        other = name.split(".")[1] if "." in name else "__init__"
        if other in (module.room, "__init__", "__version__"):
            continue
        if module.room == "__init__" or other not in RANK or RANK[other] >= RANK[module.room]:
            yield f"{module.path}:{line}: {module.room} imports {other}, against the order"
        elif other == "config" and module.room in LEAF_ROOMS:
            yield f"{module.path}:{line}: leaf room {module.room} imports config"


def outside_packages(module: Module) -> Iterator[str]:
    """Heavy packages stay in their rooms; the search has no I/O; nothing unpickles."""
    unpicklers = UNPICKLERS - UNPICKLING_MODULES.get(str(module.path), frozenset())
    for line, name in imported(module):
        top = name.split(".")[0]
        if module.room not in OUTSIDE_ROOMS_THAT_MAY.get(top, {module.room}):
            yield f"{module.path}:{line}: {module.room} imports {top}"
        if module.room == "search" and top in NOT_IN_SEARCH:
            yield f"{module.path}:{line}: search imports {top}"
        if unpicklers.intersection(name.split(".")):
            yield f"{module.path}:{line}: imports {name}"


def unpickling_calls(module: Module) -> Iterator[str]:
    """`allow_pickle=True` and `weights_only=False` unpickle without importing pickle."""
    forbidden = {("allow_pickle", True), ("weights_only", False)}
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.keyword) or not isinstance(node.value, ast.Constant):
            continue
        if (node.arg, node.value.value) in forbidden:
            yield f"{module.path}:{node.value.lineno}: {node.arg}={node.value.value!r}"


def running_of_text(module: Module) -> Iterator[str]:
    """Nothing that is read becomes code: no eval, no loader of objects, no shell."""
    allowed = UNPICKLING_MODULES.get(str(module.path), frozenset())
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        owner = called.rpartition(".")[0].rpartition(".")[2]
        if called in RUNNERS or (owner in OBJECT_READERS - allowed and called.endswith(LOADERS)):
            yield f"{module.path}:{node.lineno}: {called}"
        elif called == "torch.load" and ast.unparse(given.get("weights_only", node)) != "True":
            yield f"{module.path}:{node.lineno}: torch.load without weights_only=True"
        elif "shell" in given and ast.unparse(given["shell"]) != "False":
            yield f"{module.path}:{node.lineno}: a shell"


def hidden_imports(module: Module) -> Iterator[str]:
    """Imports stand at the top of a module, unconditionally; two files resolve names lazily."""
    tree = module.tree
    top_level = {id(node) for node in tree.body}
    lazy = str(module.path) in LAZY_MODULES | OPTIONAL_PACKAGES
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and not (lazy or id(node) in top_level):
            yield f"{module.path}:{node.lineno}: import that is not at the top of the module"
        if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING":
            yield f"{module.path}:{node.lineno}: TYPE_CHECKING"
        if isinstance(node, ast.Call) and not lazy and _called(node) in _IMPORTERS:
            yield f"{module.path}:{node.lineno}: import by name"


_IMPORTERS = frozenset({"__import__", "import_module"})


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def sizes(module: Module) -> Iterator[str]:
    """One concept a module, one thought a function."""
    num_lines = len(module.text.splitlines())
    if num_lines > MODULE_LINES_MAX:
        yield f"{module.path}: {num_lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            num_lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if num_lines > FUNCTION_LINES_MAX:
                yield f"{module.path}:{node.lineno}: {node.name} is {num_lines} lines"


def names(module: Module) -> Iterator[str]:
    """A module is named for what it holds; a room has at most one level of sub-rooms."""
    if module.path.stem in VAGUE_NAMES or VAGUE_NAMES & set(module.path.parts):
        yield f"{module.path}: a name that says nothing"
    if len(module.path.parts) > 3:
        yield f"{module.path}: deeper than three levels"


def text(module: Module) -> Iterator[str]:
    """Finished, ASCII, with postponed annotations."""
    for number, line in enumerate(module.text.splitlines(), 1):
        yield from (f"{module.path}:{number}: {word}" for word in UNFINISHED if word in line)
        if not line.isascii():
            yield f"{module.path}:{number}: not ASCII"
    only_exports = module.path.name == "__init__.py" and all(
        isinstance(node, ast.Expr | ast.ImportFrom | ast.Assign) for node in module.tree.body
    )
    if not only_exports and "from __future__ import annotations" not in module.text:
        yield f"{module.path}: no postponed annotations"


RULES: dict[str, Callable[[Module], Iterator[str]]] = {
    "import order": import_order,
    "outside packages": outside_packages,
    "unpickling calls": unpickling_calls,
    "running of text": running_of_text,
    "hidden imports": hidden_imports,
    "sizes": sizes,
    "names": names,
    "text": text,
}
