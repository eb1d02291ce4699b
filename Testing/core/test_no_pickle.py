"""No file that is read can run code: nothing is unpickled, no text is evaluated, nothing is fetched from a hub.

Read from the source itself, by its syntax tree; ruff's S rules (pyproject.toml) hold the rest: shells, XML, hashes.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("inference_core", "LowDoseDenoise", "ColonFoldSim2Real", "FaithfulImagingLib")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]

UNPICKLING = {
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "shelve",
    "joblib",
    "dill",
    "cloudpickle",
    "pickletools",
    "jsonpickle",
}
READ_BY_NAME = {"pickle.UnpicklingError"}
"""The error alone: torch raises it where a checkpoint holds more than tensors."""
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "execfile"}
REFUSED = {
    "yaml": {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"},
    "os": {"system", "popen"},
    "runpy": {"run_path", "run_module"},
    "hub": {"load", "load_state_dict_from_url"},
    "numpy": {"loadtxt", "fromregex"},
}
ASKED = {
    ("torch", "load"): ("weights_only", True),
    ("torch", "save"): None,
    ("np", "load"): ("allow_pickle", False),
    ("numpy", "load"): ("allow_pickle", False),
}
"""What these calls have to say, or None where they are not to be made at all."""
NAMED_IN_A_LIST = {"models/networks/__init__.py", "training/recipes/__init__.py"}
"""Modules of our own, imported by a name that is looked up in a dictionary first (tested in test_cards_are_data.py)."""


def faults(text: str, name: str = "made.py") -> list[str]:
    """What a script does that could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(text)):
        found += [f"{name}:{node.lineno}: {said}" for said in (_import(node) + _call(node, name))]
    return found


def _import(node: ast.AST) -> list[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom) and not node.level:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    bad = [name for name in names if name.split(".")[0] in UNPICKLING and name not in READ_BY_NAME | {"pickle"}]
    return [f"imports {name}" for name in bad]


def _call(node: ast.AST, name: str) -> list[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle":
        return [] if f"pickle.{node.attr}" in READ_BY_NAME else [f"pickle.{node.attr}"]
    if not isinstance(node, ast.Call):
        return []
    said = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    if isinstance(node.func, ast.Name):
        return [f"{node.func.id}()"] if node.func.id in RUNS_TEXT else []
    if not isinstance(node.func, ast.Attribute):
        return []
    owner, call = ast.unparse(node.func.value).split(".")[-1], node.func.attr
    if call in REFUSED.get(owner, ()):
        return [f"{owner}.{call}()"]
    if (owner, call) in ASKED:
        asked = ASKED[owner, call]
        return [] if asked and said.get(asked[0]) is asked[1] else [f"{owner}.{call}() without {asked}"]
    if call == "from_pretrained" and not (said.get("local_files_only") is True and said.get("use_safetensors") is True):
        return ["from_pretrained() may fetch or unpickle"]
    if call == "from_pretrained" and "trust_remote_code" in said:
        return ["from_pretrained() may run code"]
    if call == "import_module" and not any(name.endswith(known) for known in NAMED_IN_A_LIST):
        return (
            [] if node.args and isinstance(node.args[0], ast.Constant) else ["import_module() of a name from outside"]
        )
    return ["a shell"] if said.get("shell") else []


def test_there_is_something_to_read():
    assert len(FILES) > 200
    assert {folder for folder in FOLDERS if not any(folder in file.parts for file in FILES)} == set()


def test_nothing_that_is_read_can_run_code():
    found = []
    for file in FILES:
        found += faults(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix())
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.load(open(x, 'rb'))",
        "from pickle import loads",
        "import joblib",
        "from shelve import open",
        "import marshal as m",
        "import torch\ntorch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x)",
        "np.load(x, allow_pickle=True)",
        "yaml.load(x, Loader=yaml.Loader)",
        "yaml.unsafe_load(x)",
        "eval(card['architecture'])",
        "exec(text)",
        "__import__(card['name'])",
        "importlib.import_module(card['name'])",
        "importlib.import_module(f'networks.{name}')",
        "torch.hub.load('a/b', 'c')",
        "AutoModel.from_pretrained(name)",
        "AutoModel.from_pretrained(name, local_files_only=True)",
        "AutoModel.from_pretrained(name, local_files_only=True, use_safetensors=True, trust_remote_code=True)",
        "os.system(f'rm {x}')",
        "subprocess.run(x, shell=True)",
    ],
)
def test_what_could_run_code_is_seen(text):
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\ntry: torch.load(x, weights_only=True)\nexcept pickle.UnpicklingError: pass",
        "np.load(x, allow_pickle=False)",
        "yaml.safe_load(x)",
        "network.eval()",
        "re.compile(x)",
        "importlib.import_module('transformers')",
        "made.from_pretrained(x, local_files_only=True, use_safetensors=True)",
        "subprocess.run([x])",
    ],
)
def test_what_cannot_is_left_alone(text):
    assert faults(text) == []
