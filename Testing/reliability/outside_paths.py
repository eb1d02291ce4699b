"""Files that name other files outside their folder: headers, cards, datasets, weights. None of those may be read.

    python Testing/reliability/outside_paths.py

A file with secret voxels lies outside. Each run must be refused, and nothing of it may be said or written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from real_commands import Tally, ended, made_inputs, run, state

SECRET = 1234  # HU in the file outside


def places(name: str, secret: Path) -> dict[str, str]:
    """Ways to name a file outside a folder beside it."""
    return {
        "upwards": f"../{name}",
        "upwards in the midst": f"./a/../../{name}",
        "from the root": str(secret),
        "from the root, twice": f"/{secret}",
        "Windows, upwards": f"..\\{name}",
        "Windows, a drive": "C:\\Windows\\win.ini",
        "the system's": "/etc/passwd",
        "upwards to the system's": "../" * 12 + "etc/passwd",
    }


def headers(ct: Path, secret: Path) -> dict[str, tuple[str, bytes]]:
    """Headers by case: file name and content, all like the one of ``ct``."""
    nrrd = ct.with_suffix(".nhdr").read_bytes().replace(b"\r", b"")
    lines = [line for line in nrrd.split(b"\n") if line and not line.startswith(b"data file")]
    meta = ["NDims = 3", "DimSize = 96 96 4", "ElementType = MET_SHORT", "ElementSpacing = 0.5 0.5 1"]
    found = {}
    for name, place in places(secret.name, secret).items():
        words = place.encode()
        for key in (b"data file", b"datafile", b"DATA FILE"):
            found[f"nhdr, {key.decode()}, {name}"] = "x.nhdr", b"\n".join([*lines, key + b": " + words, b"", b""])
        found[f"nhdr, list, {name}"] = "x.nhdr", b"\n".join([*lines, b"data file: LIST", words, b""])
        found[f"nhdr, pattern, {name}"] = "x.nhdr", b"\n".join([*lines, b"data file: " + words + b"%d 1 4 1", b"", b""])
        found[f"nrrd, {name}"] = "x.nrrd", b"\n".join([*lines, b"data file: " + words, b"", b""])
        for key in ("ElementDataFile = ", "ElementDataFile: ", "  ElementDataFile="):
            for suffix in (".mhd", ".mha"):
                text = "\n".join([*meta, f"{key}{place}", ""])
                found[f"{suffix[1:]}, {key.strip()}, {name}"] = f"x{suffix}", text.encode()
        text = "\n".join([*meta, "ElementDataFile = LIST", *[place] * 4, ""])
        found[f"mhd, list, {name}"] = "x.mhd", text.encode()
    return found


def volumes(inputs: Path, work: Path) -> Tally:
    """Headers as CT, as label map of a colon, and as ROI."""
    tally = Tally("headers that lead outside")
    secret = work / "secret.raw"
    secret.write_bytes(np.full(4 * 96 * 96, SECRET, "<i2").tobytes())
    from inference_core.errors import UserError
    from inference_core.image.reading import read_volume
    from inference_core.measurement.roi_files import read_rois
    from inference_core.simulation.colon.mesh.surface_files import read_surface

    volume = read_volume(inputs / "ct.nrrd")
    reads: dict[str, Callable[[Path], object]] = {
        "CT": read_volume, "ROI": lambda path: read_rois(path, volume), "label map": read_surface,
    }  # fmt: skip
    for case, (name, content) in headers(inputs / "ct", secret).items():
        folder = work / "given"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / name).write_bytes(content)
        for kind, read in reads.items():
            try:
                read(folder / name)
                problems = ["it was read"]
            except UserError as error:
                problems = [] if error.code == "data-file-elsewhere" and error.remedy else [f"{error.code}: {error}"]
            except Exception as error:
                problems = [f"{type(error).__name__}: {error}"]
            tally.note("refused with a remedy", problems, f"{case}, as {kind}")
    return tally


def commands(inputs: Path, work: Path) -> Tally:
    """A header, cards, weights and datasets that lead outside, given to the real commands."""
    from inference_core.models.registry import BUNDLED

    tally = Tally("commands with files that lead outside")
    given, out = work / "given", work / "out"
    card = json.loads((BUNDLED / "low-dose-ct.json").read_text(encoding="utf-8"))

    def write_card(folder: Path, **changes: object) -> list[object]:
        (folder / "m.json").write_text(json.dumps(card | changes), encoding="utf-8")
        return ["denoise", inputs / "ct.nrrd", out / "out.nrrd", "--model", folder / "m.json"]

    def header(folder: Path) -> list[object]:
        shutil.copy(inputs / "ct.raw", work / "ct.raw")
        text = (inputs / "ct.nhdr").read_text().replace("data file: ct.raw", "data file: ../ct.raw")
        (folder / "ct.nhdr").write_text(text)
        return ["denoise", folder / "ct.nhdr", out / "out.nrrd"]

    def external(folder: Path) -> list[object]:
        """An ONNX file whose weights lie outside: 'external data' with a path upwards, as the card's sha256 says."""
        import onnx

        model = onnx.load(str(BUNDLED / "low-dose-ct.onnx"))
        for tensor in model.graph.initializer:
            raw = tensor.raw_data
            if len(raw) > 64:
                (work / "outside.bin").write_bytes(raw)
                tensor.ClearField("raw_data")
                tensor.data_location = onnx.TensorProto.EXTERNAL
                for key, value in (("location", "../outside.bin"), ("length", str(len(raw)))):
                    entry = tensor.external_data.add()
                    entry.key, entry.value = key, value
                break
        (folder / "m.onnx").write_bytes(model.SerializeToString())
        digest = hashlib.sha256((folder / "m.onnx").read_bytes()).hexdigest()
        return write_card(folder, sha256={"onnx": digest})

    def weights_elsewhere(folder: Path) -> list[object]:
        shutil.copy(BUNDLED / "low-dose-ct.onnx", work / "low-dose-ct.onnx")
        return write_card(folder, sha256={"../low-dose-ct.onnx": card["sha256"]["onnx"]})

    def card_upwards(folder: Path) -> list[object]:
        return [*write_card(folder, architecture={"name": "../../../evil", "arguments": {}}), "--engine", "torch"]

    def dataset(folder: Path, change: Callable[[dict[str, object]], object]) -> list[object]:
        shutil.copytree(inputs / "frames", folder / "frames")
        shutil.copytree(inputs / "frames", work / "elsewhere", dirs_exist_ok=True)
        shutil.rmtree(folder / "frames" / "rgb")
        for name in ("dataset.json", "cameras.json"):
            content = json.loads((folder / "frames" / name).read_text())
            change(content)
            (folder / "frames" / name).write_text(json.dumps(content))
        return ["translate", folder / "frames", out / "t", "--model", "plain-to-mucosa"]

    def frame_files(content: dict[str, object]) -> None:
        for key in ("rgb", "folder", "path", "files", "root"):
            content[key] = "../../elsewhere/rgb"
        for k, pose in enumerate(content.get("frames", [])):  # type: ignore[var-annotated, arg-type]
            pose["file"] = f"../../elsewhere/rgb/{k:06d}.png"

    cases: dict[str, Callable[[Path], list[object]]] = {
        "a header": header,
        "a card whose weights lie elsewhere": weights_elsewhere,
        "a card whose network's name is a path": card_upwards,
        "a card without weights beside it": lambda folder: write_card(folder),
        "ONNX with weights outside": external,
        "a dataset whose frames lie elsewhere": lambda folder: dataset(folder, frame_files),
    }
    for name, prepare in cases.items():
        for gone in (given, out):
            shutil.rmtree(gone, ignore_errors=True)
            gone.mkdir()
        arguments = prepare(given)
        kept = state(given)
        result = run(*arguments)
        problems = ended(result, out, kept, given, True)
        if result.status == 0:
            problems.append("it was done")
        tally.note("refused with a remedy", problems, name, result.said)
    return tally


def main() -> int:
    """Try all; fail where something is against the rule."""
    wrong = 0
    with tempfile.TemporaryDirectory() as text:
        work = Path(text)
        inputs = work / "inputs"
        inputs.mkdir()
        made_inputs(inputs)
        for part in (volumes, commands):
            begun = time.perf_counter()
            tally = part(inputs, work)
            wrong += tally.wrong
            print(f"{tally.line()}; {time.perf_counter() - begun:.0f} s", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
