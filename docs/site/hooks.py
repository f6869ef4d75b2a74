"""Makes README.md the home page of the site."""

import pathlib

from mkdocs.structure.files import File

_README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def on_files(files, config):
    """Adds the home page. Its links start from docs/, not from the root."""
    text = _README.read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=text))
    return files
