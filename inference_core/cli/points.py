"""Places in the patient as people type them: ``--seed -12.5 30 41`` or ``--seed=-12.5,30,41``."""

from __future__ import annotations

from collections.abc import Iterable

from inference_core.errors import UserError


def spell_points(arguments: Iterable[str]) -> list[str]:
    """Join an option's numbers by commas, for jsonargparse takes a minus for the beginning of an option.

    Parameters
    ----------
    arguments : iterable of str
        The command and what follows it. After ``--seed``, which may come again, ``--start`` and ``--end`` all that are
        numbers belong to the option.
    """
    spelt: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if name not in ("--seed", "--start", "--end"):
            spelt.append(word)
            continue
        numbers = [value] if equals else []
        while not equals and waiting and _is_place(waiting[0]):
            numbers.append(waiting.pop(0))
        spelt.append(f"{name}{'+' * (name == '--seed')}={','.join(numbers)}")
    return spelt


def point(name: str, text: str | None) -> list[float] | None:
    """Three coordinates; None for none.

    Raises
    ------
    UserError
        ``point``.
    """
    if text is None:
        return None
    try:
        place = [float(number) for number in text.strip("[]() ").split(",")]
    except ValueError:
        place = []
    if len(place) != 3 or not all(abs(number) < 1e6 for number in place):
        raise UserError("point", f"{text!r} is no point.", f"Give --{name} x,y,z in mm, LPS.")
    return place


def _is_place(word: str) -> bool:
    try:
        return all(isinstance(float(number), float) for number in word.split(","))
    except ValueError:
        return False
