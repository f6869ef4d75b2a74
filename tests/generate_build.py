"""Writes BUILD: one target per Python file, whose deps are its imports.

Run it from anywhere as `python tests/generate_build.py`, or as `make BUILD`.
"""

import ast
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("peernets_tf", "madry_challenge", "benchmarks", "examples", "tests")
HEADER = '''"""One target per Python file. Its deps show who imports whom.

This file is documentation: `make test` runs the tests, and pip builds the
package. `make BUILD` writes it; do not edit it by hand.
"""

load("@rules_python//python:defs.bzl", "py_binary", "py_library", "py_test")

package(default_visibility = ["//visibility:public"])

licenses(["notice"])  # MIT
'''


def build_text(root=ROOT):
    """Returns the text of BUILD for the Python files under a folder."""
    return "\n".join([HEADER, *(target(root, path) for path in files(root))])


def files(root):
    """Returns the paths of all Python files that hold code, sorted."""
    paths = [p for name in PACKAGES for p in (root / name).rglob("*.py")]
    return sorted(p for p in paths if p.name != "__init__.py" or has_code(p))


def has_code(path):
    """Returns whether a file holds more than a docstring."""
    return any(not isinstance(node, ast.Expr) for node in parse(path).body)


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def target(root, path):
    """Returns the text of one file's target."""
    lines = [
        f"{rule(path)}(",
        f'    name = "{label(root, path)}",',
        f'    srcs = ["{path.relative_to(root).as_posix()}"],',
    ]
    imported = {label(root, p) for p in imported_files(root, parse(path))}
    if imported:
        deps = [f'        ":{name}",' for name in sorted(imported)]
        lines += ["    deps = [", *deps, "    ],"]
    return "\n".join([*lines, ")", ""])


def rule(path):
    """Returns the Bazel rule of a file."""
    if path.name.endswith("_test.py"):
        return "py_test"
    is_main = 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    is_program = is_main or path.parent.name == "examples"
    return "py_binary" if is_program else "py_library"


def label(root, path):
    """Returns a target's name: the path without .py; a package's its folder."""
    path = path.relative_to(root).with_suffix("")
    return (path.parent if path.name == "__init__" else path).as_posix()


def imported_files(root, tree):
    """Yields our own files that a module imports by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for module, member in names:
            # A name imported from a package is a module of it, or its own.
            path = module_file(root, f"{module}.{member}")
            path = path or module_file(root, module)
            if path:
                yield path


def module_file(root, module):
    """Returns the file of one of our modules, or None."""
    if module.split(".")[0] not in PACKAGES:
        # Tests and trials are imported from the folder of tests.
        root = root / "tests"
    base = root.joinpath(*module.split("."))
    paths = [base.with_suffix(".py"), base / "__init__.py"]
    return next(filter(pathlib.Path.is_file, paths), None)


if __name__ == "__main__":
    (ROOT / "BUILD").write_text(build_text(), encoding="utf-8")
