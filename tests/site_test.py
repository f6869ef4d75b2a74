"""The site has every page, its links lead somewhere, its API names exist."""

import importlib
import os
import re
import subprocess
import sys

import pytest
from generate_tables import ROOT, pages

DOCS = ROOT / "docs"
PAGES = pages()
API_PAGES = sorted((DOCS / "api").glob("*.md"))
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)]+)\)")
# What a page would load from elsewhere; links that a reader follows are fine.
LOADED = re.compile(
    r"""<(?:script|img|link)[^>]*(?:src|href)=["'](http[^"']+)"""
)


def read(path):
    return path.read_text(encoding="utf-8")


def test_the_navigation_lists_every_page_once():
    _, nav = read(ROOT / "mkdocs.yml").split("\nnav:\n")
    listed = re.findall(r": (\S+\.md)$", nav, re.MULTILINE)
    # README.md is the home page.
    expected = ["index.md"] + [
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")
    ]
    assert sorted(listed) == sorted(expected)


def anchors(text):
    """Returns the anchors of a page's headings, as GitHub names them."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in FENCED.sub("", text).splitlines()
        if line.startswith("#")
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(path):
    for target in LINK.findall(FENCED.sub("", read(path))):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = path.parent / file if file else path
        assert linked.is_file(), target
        # The site holds nothing else.
        assert path.name == "README.md" or linked.resolve().is_relative_to(DOCS)
        assert not anchor or anchor in anchors(read(linked)), target


def test_the_readme_links_to_pages_of_the_site_only():
    for target in LINK.findall(FENCED.sub("", read(ROOT / "README.md"))):
        assert target.startswith(("docs/", "http")), target


def test_the_readme_is_short():
    assert len(read(ROOT / "README.md").splitlines()) <= 150


def named(name):
    """Returns what a dotted name means in Python; raises if nothing."""
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:i]))
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("path", API_PAGES, ids=lambda path: path.stem)
def test_names_of_the_api_pages_exist(path):
    text = LINK.sub("]", read(path))
    names = re.findall(r"\bpeernets_tf(?:\.\w+)*", text)
    assert names
    for name in names:
        assert named(name) is not None


def test_every_package_has_a_page():
    shown = {
        name
        for path in API_PAGES
        for name in re.findall(r"^::: (\S+)$", read(path), re.MULTILINE)
    }
    packages = {
        f"peernets_tf.{path.parent.name}"
        for path in (ROOT / "peernets_tf").glob("*/__init__.py")
    }
    # Commands are no library, and cli is for them.
    assert shown == {"peernets_tf", *packages} - {"peernets_tf.cli"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    pytest.importorskip("mkdocs", reason='needs pip install -e ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        assert LOADED.findall(read(path)) == []
    assert "Is this defence real?" in read(site / "index.html")


@pytest.mark.slow
@pytest.mark.parametrize("path", API_PAGES, ids=lambda path: path.stem)
def test_the_site_shows_every_public_function_and_class(site, path):
    text = read(site / "api" / f"{path.stem}.html")
    for package in re.findall(r"^::: (\S+)$", read(path), re.MULTILINE):
        for name in named(package).__all__:
            found = getattr(named(package), name)
            if callable(found) and found.__doc__:
                assert f'id="{package}.{name}"' in text, name


@pytest.mark.slow
def test_the_site_shows_the_sections_of_keras_docstrings(site):
    text = read(site / "api" / "layers.html")
    _, after = text.split("<strong>Call arguments</strong>")
    items = re.findall(r"<li><code>(\w+)</code>: ", after.split("</ul>")[0])
    assert items == ["inputs", "peers", "training"]
