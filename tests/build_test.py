"""BUILD has one target a Python file, whose deps are the file's imports."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("peernets_tf", "madry_challenge", "benchmarks", "tests")


def test_build_has_the_target_of_each_file():
    expected = [expected_target(path) for path in python_files()]
    found = build_targets()
    missing = [t for t in expected if t not in found]
    for target in expected:
        if target in found:
            found.remove(target)
    if missing or found:
        lines = [
            "BUILD does not show the files and their imports.",
            f"Remove: {', '.join(t['name'] for t in found) or 'nothing'}",
            "Add:",
            *map(as_text, missing),
        ]
        pytest.fail("\n".join(lines), pytrace=False)


def python_files():
    """Returns the paths of all files but empty `__init__.py`, sorted."""
    paths = [p for name in PACKAGES for p in (ROOT / name).rglob("*.py")]
    return sorted(p for p in paths if p.name != "__init__.py" or has_code(p))


def has_code(path):
    return any(not isinstance(node, ast.Expr) for node in parse(path).body)


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def build_targets():
    """Returns the rule, name, srcs and deps of each target in BUILD."""
    targets = []
    for statement in parse(ROOT / "BUILD").body:
        call = statement.value
        if isinstance(call, ast.Call) and call.func.id.startswith("py_"):
            values = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
            targets.append(
                {
                    "rule": call.func.id,
                    "name": values["name"],
                    "srcs": values["srcs"],
                    "deps": sorted(values.get("deps", [])),
                }
            )
    return targets


def expected_target(path):
    tree = parse(path)
    if path.name.endswith("_test.py"):
        rule = "py_test"
    elif 'if __name__ == "__main__":' in path.read_text(encoding="utf-8"):
        rule = "py_binary"
    else:
        rule = "py_library"
    return {
        "rule": rule,
        "name": label(path),
        "srcs": [path.relative_to(ROOT).as_posix()],
        "deps": sorted({f":{label(p)}" for p in imported_files(tree)}),
    }


def label(path):
    """Returns a target's name: the path without .py, a package's its folder."""
    path = path.relative_to(ROOT).with_suffix("")
    return (path.parent if path.name == "__init__" else path).as_posix()


def imported_files(tree):
    """Yields our own files that a module imports by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for module, member in names:
            # What is imported from a package is a module of it, or its own.
            path = module_file(f"{module}.{member}") or module_file(module)
            if path:
                yield path


def module_file(module):
    base = ROOT.joinpath(*module.split("."))
    paths = [base.with_suffix(".py"), base / "__init__.py"]
    if module.split(".")[0] not in PACKAGES:
        # Tests import each other by bare names.
        paths = [ROOT / "tests" / f"{module}.py"]
    return next(filter(pathlib.Path.is_file, paths), None)


def as_text(target):
    lines = [
        f"{target['rule']}(",
        f'    name = "{target["name"]}",',
        f'    srcs = ["{target["srcs"][0]}"],',
    ]
    if target["deps"]:
        deps = [f'        "{dep}",' for dep in target["deps"]]
        lines += ["    deps = [", *deps, "    ],"]
    return "\n".join([*lines, ")", ""])
