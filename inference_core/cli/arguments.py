"""Spell arguments as people do, and hand them on as jsonargparse reads them."""

from __future__ import annotations

from collections.abc import Iterable

LISTS = {
    "evaluate": ("--model", "--data", "--phantom", "--seeds", "--faces", "--methods"),
    "reproduce": ("--train", "--methods"),
}
"""By command, options that take one value or more besides ``--roi``."""

FLAGS = ("--filters", "--bm3d", "--torch", "--no_overlay")
"""Options that alone mean yes."""


def spell_for_jsonargparse(arguments: Iterable[str]) -> list[str]:
    """Allow dashes in option names, several values after an option that takes a list, and flags without a value.

    jsonargparse names options after Python parameters (``--roi_transform``), appends to a list with ``--roi+``, and
    wants ``true`` after a flag. So ``--roi a b --roi c --roi-transform t --filters`` becomes
    ``--roi+=a --roi+=b --roi+=c --roi_transform t --filters=true``.

    Parameters
    ----------
    arguments : iterable of str
        What stands after the program's name. All that follows an option that takes a list, up to the next option, is
        its.

    Returns
    -------
    list of str
    """
    spelt: list[str] = []
    current = ""  # the list option whose values are being read
    waiting = [*arguments]
    lists = ("--roi", *LISTS.get(waiting[0] if waiting else "", ()))
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
        if name in FLAGS and not equals and (not waiting or waiting[0] not in ("true", "false")):
            equals, value = "=", "true"
        current = name if name in lists and not equals else ""
        if name in lists and equals and not value.startswith("["):  # [a, b] is a list as it stands
            spelt.append(f"{name}+={value}")
        elif not current:
            spelt.append(name + equals + value)
        elif not waiting or waiting[0].startswith("-"):
            spelt.append(name)  # no value: let jsonargparse complain
    return spelt
