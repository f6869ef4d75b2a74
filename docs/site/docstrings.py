"""How the API reference reads our packages and docstrings."""

import griffe

_KINDS = griffe.DocstringSectionKind
_TITLES = {
    _KINDS.parameters: "Args",
    _KINDS.attributes: "Attributes",
    _KINDS.returns: "Returns",
    _KINDS.yields: "Yields",
    _KINDS.raises: "Raises",
}


class OurDocstrings(griffe.Extension):
    """Shows names as Python does, and sections as our docstrings write them.

    Our docstrings name types in their text, so annotations are not repeated.
    """

    def on_package(self, *, pkg, **kwargs):
        """Changes a package after all of it was read."""
        for module in [pkg, *_modules(pkg)]:
            _show_functions(module)
            _show_sections(module)


def _modules(module):
    for inner in module.modules.values():
        if not inner.is_alias:
            yield from [inner, *_modules(inner)]


def _show_functions(package):
    """Puts functions in the place of the modules that have their names.

    `peernets_tf.layers.nearest_neighbors` is a function, and the module that
    holds it.
    """
    for name in package.exports or ():
        found = package.members.get(name)
        if found is not None and found.is_module:
            module = found.final_target if found.is_alias else found
            function = module.members.get(name)
            if isinstance(function, griffe.Function):
                alias = griffe.Alias(name, function, parent=package)
                package.members[name] = alias


def _show_sections(thing):
    """Makes the sections of all docstrings in a module or class text."""
    if thing.docstring is not None:
        sections = thing.docstring.parse("google", warnings=False)
        thing.docstring.parsed = [
            griffe.DocstringSectionText(_text(section)) for section in sections
        ]
    if thing.is_module or thing.is_class:
        for member in thing.members.values():
            if not member.is_alias and not member.is_module:
                _show_sections(member)


def _text(section):
    """Returns a section as Markdown."""
    if section.kind is _KINDS.admonition:
        # Keras's "Call arguments", which the parser does not know.
        # A section never begins a docstring, so a line stands before it.
        docstring = griffe.Docstring(f".\n\nArgs:\n{_indented(section)}")
        _, inner = docstring.parse("google", warnings=False)
        return _list(section.title, inner.value)
    if section.kind in _TITLES:
        return _list(_TITLES[section.kind], section.value)
    return section.value


def _indented(section):
    lines = section.value.contents.splitlines()
    return "\n".join(f"    {line}" for line in lines)


def _list(title, items):
    return "\n".join([f"**{title}**", "", *map(_item, items)])


def _item(item):
    default = getattr(item, "default", None)
    name = getattr(item, "name", None) or getattr(item, "annotation", None)
    if isinstance(item, griffe.DocstringReturn | griffe.DocstringYield):
        return f"- {item.description}"
    shown = f"`{name}`" if default is None else f"`{name}={default}`"
    return f"- {shown}: {item.description}"
