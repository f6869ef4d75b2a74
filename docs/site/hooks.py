"""Makes README.md the home page of the site."""

import pathlib
import re

from mkdocs.structure.files import File

_README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def on_files(files, config):
    """Adds the home page. Its links start from docs/, not from the root."""
    text = _README.read_text(encoding="utf-8").replace("](docs/", "](")
    # In the README a link shows its path; on the site, the page's name.
    text = re.sub(r"\[docs/([\w/]+)\.md\]", r"[\1]", text)
    files.append(File.generated(config, "index.md", content=text))
    return files
