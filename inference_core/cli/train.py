"""``inference-core train``: train a network on one's own data."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence

from inference_core.errors import Cancelled, UserError

USAGE = """usage: inference-core train denoiser|depth|translator|segmenter --config NAME_OR_YAML [key=value ...]

Configurations: {names}
Every field of a recipe's configuration may be given as key=value; nested ones with a dot, lists in brackets:
  inference-core train denoiser --config supervised_ct full_dose='[CT_FOLDER]' split.validation='[P7]' out=runs/mine
  inference-core train translator --config depth_cyclegan simulated=SIM_DATASET real=FRAMES out=runs/look
  inference-core train segmenter --config segmenter --data SIM_DATASET TRANSLATED out=runs/folds
  inference-core train denoiser --config supervised_ct --help      all fields, with units
A run that was stopped or killed goes on when the same command is given again."""


def train(arguments: Sequence[str]) -> None:
    """Parse what stands after ``train`` and run the recipe.

    Raises
    ------
    UserError
        ``missing-package``, or what the recipe raises.
    """
    from inference_core.training.recipes import BUNDLED, TASKS, load_recipe, recipe_of

    usage = USAGE.format(names=", ".join(BUNDLED))
    config, rest = _config_of([*arguments[1:]])
    if not arguments or arguments[0] in ("-h", "--help") or (config is None and {"-h", "--help"} & set(rest)):
        print(usage)
        return
    if arguments[0] not in TASKS:
        raise UserError("no-such-task", f"{arguments[0]!r} cannot be trained.", f"Choose: {', '.join(TASKS)}.")
    if config is None:
        print(usage, file=sys.stderr)
        raise UserError("no-config", "No configuration is given.", "Add --config and a recipe's name or a YAML file.")
    _need_packages()
    name, content = recipe_of(config, arguments[0])
    config_class, run = load_recipe(name)
    from jsonargparse import auto_cli, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=True)  # the fields' docstrings become the help
    defaults = [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in content.items()]
    spelt = defaults + [_as_option(word) for word in _joined(_listed(rest))]
    settings = auto_cli(config_class, args=spelt, as_positional=False, prog=f"inference-core train {arguments[0]}")
    try:
        run(settings)
    except Cancelled:
        sys.exit(130)  # the loop has said where the run stopped


def _config_of(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take ``--config X`` or ``--config=X`` out of the arguments."""
    for k, argument in enumerate(arguments):
        if argument.startswith("--config="):
            return argument.partition("=")[2], arguments[:k] + arguments[k + 1 :]
        if argument == "--config" and k + 1 < len(arguments):
            return arguments[k + 1], arguments[:k] + arguments[k + 2 :]
    return None, arguments


def _listed(arguments: list[str]) -> list[str]:
    """``--data A B`` as ``data=["A", "B"]``: the words without ``=`` after it belong to it."""
    if "--data" not in arguments:
        return arguments
    first = arguments.index("--data") + 1
    others = (k for k in range(first, len(arguments)) if "=" in arguments[k] or arguments[k].startswith("-"))
    after = next(others, len(arguments))
    folders = arguments[first:after]
    if not folders:
        raise UserError("bad-argument", "--data names no folder.", "Write --data FOLDER, or --data SIM TRANSLATED.")
    return [*arguments[: first - 1], f"data={json.dumps(folders)}", *arguments[after:]]


def _joined(arguments: list[str]) -> list[str]:
    """``--key value`` as ``--key=value``."""
    joined: list[str] = []
    for argument in arguments:
        before = joined[-1] if joined else ""
        awaits = before.startswith("--") and "=" not in before and before != "--help"
        if awaits and not argument.startswith("--"):
            joined[-1] = f"{before}={argument}"
        else:
            joined.append(argument)
    return joined


def _as_option(argument: str) -> str:
    """``key=value`` as ``--key=value``; dashes in names as underscores."""
    if argument in ("-h", "--help"):
        return argument
    name, equals, value = argument.removeprefix("--").partition("=")
    if not equals:
        raise UserError("bad-argument", f"{argument!r} is not key=value.", "Write e.g. steps=3000.")
    return f"--{name.replace('-', '_')}={value}"


def _need_packages() -> None:
    missing = [name for name in ("torch", "lightning_fabric", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            "missing-package",
            f"Training needs {', '.join(missing)}.",
            "Install it: pip install 'faithful-imaging[train]'.",
        )
