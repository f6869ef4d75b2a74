"""How the API reference reads our packages and docstrings."""

import textwrap

import griffe

_SECTION = "Call arguments"


class PublicNames(griffe.Extension):
    """Shows functions that have the name of their module, as Python does.

    `peernets_tf.layers.nearest_neighbors` is a function, but also the module
    that holds it.
    """

    def on_package(self, *, pkg, **kwargs):
        """Puts such functions in the place of their modules."""
        for package in [pkg, *pkg.modules.values()]:
            for name in package.exports or ():
                module = package.members.get(name)
                if isinstance(module, griffe.Module):
                    function = module.members.get(name)
                    if isinstance(function, griffe.Function):
                        alias = griffe.Alias(name, function, parent=package)
                        package.members[name] = alias


class CallArguments(griffe.Extension):
    """Shows Keras's section "Call arguments" as arguments.

    To the parser it is a paragraph.
    """

    def on_object(self, *, obj, **kwargs):
        """Replaces the section in the docstring of each object that has it."""
        text = obj.docstring.value if obj.docstring else ""
        if f"{_SECTION}:" not in text:
            return
        sections = obj.docstring.parse("google")
        for i, section in enumerate(sections):
            if section.title == _SECTION:
                body = textwrap.indent(section.value.contents, "    ")
                docstring = griffe.Docstring(f"Args:\n{body}", parent=obj)
                (sections[i],) = docstring.parse("google")
                sections[i].title = f"{_SECTION}:"
        obj.docstring.parsed = sections
