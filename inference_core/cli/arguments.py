"""Spell arguments as people do, and hand them on as jsonargparse reads them."""

from __future__ import annotations

from collections.abc import Iterable


def spell_for_jsonargparse(arguments: Iterable[str], lists: tuple[str, ...] = ("--roi",)) -> list[str]:
    """Allow dashes in option names, and several values after an option that takes a list.

    jsonargparse names options after Python parameters (``--roi_transform``) and appends to a list with ``--roi+``.
    So ``--roi a b --roi c --roi-transform t`` becomes ``--roi+=a --roi+=b --roi+=c --roi_transform t``.

    Parameters
    ----------
    arguments : iterable of str
        What stands after the program's name.
    lists : tuple of str
        Options that take one value or more; all that follows up to the next option is theirs.

    Returns
    -------
    list of str
    """
    spelt: list[str] = []
    current = ""  # the list option whose values are being read
    waiting = [*arguments]
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return [*spelt, argument, *waiting]
        if not argument.startswith("-"):
            spelt.append(f"{current}+={argument}" if current else argument)
            continue
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            name = name.replace("-", "_").replace("__", "--", 1)
        current = name if name in lists and not equals else ""
        if name in lists and equals and not value.startswith("["):  # [a, b] is a list as it stands
            spelt.append(f"{name}+={value}")
        elif not current:
            spelt.append(name + equals + value)
        elif not waiting or waiting[0].startswith("-"):
            spelt.append(name)  # no value: let jsonargparse complain
    return spelt
