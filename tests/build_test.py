"""BUILD is what its generator writes, and the generator sees all imports."""

import ast
import textwrap

import generate_build


def test_build_is_current():
    text = (generate_build.ROOT / "BUILD").read_text(encoding="utf-8")
    assert text == generate_build.build_text(), "run `make BUILD`"


def make_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def test_targets_have_the_rule_and_the_imports_of_their_files(tmp_path):
    make_tree(
        tmp_path,
        {
            "peernets_tf/__init__.py": '"""A package without code."""\n',
            "peernets_tf/layers/__init__.py": "import numpy\n",
            "peernets_tf/files.py": "import os\n",
            "peernets_tf/train.py": """\
                from peernets_tf import files, layers
                from peernets_tf.layers import Layer

                if __name__ == "__main__":
                    files.run(layers, Layer)
                """,
            "examples/own.py": "from peernets_tf import files\n",
            "tests/helper.py": "import peernets_tf.files\n",
            "tests/trials/kills.py": "from trials import warm\n",
            "tests/trials/warm.py": "import helper\n",
            "tests/train_test.py": "import helper\nimport pytest\n",
        },
    )
    assert targets(generate_build.build_text(tmp_path)) == {
        "peernets_tf/layers": ("py_library", []),
        "peernets_tf/files": ("py_library", []),
        "peernets_tf/train": (
            "py_binary",
            [":peernets_tf/files", ":peernets_tf/layers"],
        ),
        "examples/own": ("py_binary", [":peernets_tf/files"]),
        "tests/helper": ("py_library", [":peernets_tf/files"]),
        "tests/trials/kills": ("py_library", [":tests/trials/warm"]),
        "tests/trials/warm": ("py_library", [":tests/helper"]),
        "tests/train_test": ("py_test", [":tests/helper"]),
    }


def targets(text):
    """Returns the rule and the deps of each target, by its name."""
    found = {}
    for statement in ast.parse(text).body:
        call = statement.value
        if isinstance(call, ast.Call) and call.func.id.startswith("py_"):
            values = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
            found[values["name"]] = call.func.id, values.get("deps", [])
    return found
