"""Feed every reader damaged files: each must be read, or refused by a message with a remedy. Nothing else may happen.

Readers are those of files, of the worker's messages (damaged, or whole with values of other kinds), and of weights
(with the card's check sum, and with one that fits the damaged file).

    python Testing/reliability/fuzz_readers.py [inputs a reader] [reader ...]

Whole files of each kind are damaged at random (bytes changed, cut, doubled, numbers in headers replaced) from a fixed
seed. Each reader runs in processes of its own, so that a crash of a library is seen and counted, with a limit on the
time and memory of each input.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))

LONGEST = 30  # s for one input
MOST_MEMORY = 6 << 30
ODD = (b"0", b"-1", b"1", b"65536", b"4294967296", b"99999999999999999999", b"1e308", b"nan", b"inf", b"\xff", b"")


def damaged(random: np.random.Generator, whole: bytes) -> bytes:
    """A file, damaged once to four times."""
    data = bytearray(whole)
    for _ in range(random.integers(1, 5)):
        size = len(data)
        if not size:
            break
        kind, at = random.integers(6), int(random.integers(size))
        head = int(random.integers(min(size, 600)))  # headers matter more than voxels
        if kind == 0:
            data[head] = random.integers(256)
        elif kind == 1:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            piece = data[head : head + int(random.integers(1, 64))]
            data[at:at] = piece
        elif kind == 4:
            del data[head : head + int(random.integers(1, 16))]
        else:
            numbers = list(re.finditer(rb"-?[0-9]+(?:\.[0-9]+)?", bytes(data[:4000])))
            if numbers:
                number = numbers[random.integers(len(numbers))]
                data[number.start() : number.end()] = ODD[random.integers(len(ODD))]
    return bytes(data)


@dataclass(frozen=True)
class Reader:
    """Whole files, what reads them, and how they are damaged."""

    wholes: list[Path]
    read: Callable[[Path], object]
    damage: Callable[[np.random.Generator, bytes], bytes] = damaged


def readers(folder: Path) -> dict[str, Reader]:
    """A reader of each kind."""
    import SimpleITK as sitk
    from fuzzed_jobs import job_readers
    from fuzzed_weights import weights_readers
    from made_studies import write_study
    from PIL import Image

    from inference_core.batch.recipe import read_recipe
    from inference_core.image.reading import read_volume
    from inference_core.measurement.roi_files import read_rois
    from inference_core.models.card import read_card
    from inference_core.segmenter.frame_sources import open_source, read_picture
    from inference_core.simulation.colon.mesh.surface import Surface
    from inference_core.simulation.colon.mesh.surface_files import read_surface, write_surface
    from inference_core.simulation.colon.path.path_files import read_path

    for suffix in (".nrrd", ".mha", ".nii", ".nii.gz"):
        write_study(folder / f"ct{suffix}", 1)
    image = sitk.ReadImage(str(folder / "ct.nrrd"))
    one = image[:, :, 1]
    for tag, value in {"0008|0060": "CT", "0028|1052": "-1024", "0028|1053": "1"}.items():
        one.SetMetaData(tag, value)
    sitk.WriteImage(one, str(folder / "slice.dcm"))
    volume = read_volume(folder / "ct.nrrd")
    mask = sitk.GetImageFromArray((sitk.GetArrayFromImage(image) > 0).astype(np.uint8))
    mask.CopyInformation(image)
    sitk.WriteImage(mask, str(folder / "roi.nrrd"))
    box = {"type": "ROI", "coordinateSystem": "LPS", "roiType": "Box", "center": [20, 20, 2], "size": [10, 10, 2]}
    box |= {"orientation": [1, 0, 0, 0, 1, 0, 0, 0, 1], "controlPoints": []}
    (folder / "roi.mrk.json").write_text(json.dumps({"markups": [box]}))
    curve = {"markups": [{"type": "Curve", "coordinateSystem": "LPS", "controlPoints": [
        {"position": [k, 2 * k, 0]} for k in range(0, 50, 10)]}]}  # fmt: skip
    (folder / "path.mrk.json").write_text(json.dumps(curve))
    ball = _ball()
    for suffix in (".ply", ".stl", ".obj", ".vtk", ".vtp"):
        write_surface(Surface(*ball), folder / f"ball{suffix}")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8).repeat(2, 0))
    for suffix in (".png", ".jpg", ".bmp", ".tiff"):
        picture.save(folder / f"frame{suffix}")
    (folder / "denoise.yaml").write_text("model: low-dose-ct\nstrength: 0.5\nthreads: 2\nformat: .nrrd\n")
    weights = Path(__file__).resolve().parents[2] / "inference_core" / "models" / "weights"
    cards = sorted(path for path in weights.glob("*.json"))[:3]
    pairs: dict[str, tuple[list[Path], Callable[[Path], object]]] = {
        "volumes": ([folder / f"ct{s}" for s in (".nrrd", ".mha", ".nii", ".nii.gz")], read_volume),
        "DICOM": ([folder / "slice.dcm"], read_volume),
        "ROI files": ([folder / "roi.mrk.json", folder / "roi.nrrd"], lambda path: read_rois(path, volume)),
        "paths": ([folder / "path.mrk.json"], read_path),
        "surfaces": ([folder / f"ball{s}" for s in (".ply", ".stl", ".obj", ".vtk", ".vtp")], read_surface),
        "pictures": ([folder / f"frame{s}" for s in (".png", ".jpg", ".bmp", ".tiff")], read_picture),
        "recipes": ([folder / "denoise.yaml"], read_recipe),
        "model cards": (cards, read_card),
    }
    film = _film(folder / "film.mp4")
    if film:
        pairs["videos"] = ([film], lambda path: sum(1 for _ in open_source(path).frames(lambda text: None)))
    return {name: Reader(*pair) for name, pair in pairs.items()} | weights_readers(folder) | job_readers(folder)


def _ball() -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import ConvexHull

    points = np.random.default_rng(0).normal(size=(60, 3))
    points *= 20 / np.linalg.norm(points, axis=1, keepdims=True)
    return points, ConvexHull(points).simplices.astype(np.int64)


def _film(path: Path) -> Path | None:
    try:
        import av
    except ImportError:
        return None
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuv420p"
        for k in range(6):
            pixels = np.full((48, 48, 3), 30 * k, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def fuzz(name: str, reader: Reader, count: int, folder: Path) -> Counter[str]:
    """Damage and read; what happened, counted. A process that dies is replaced, its input counted as a crash."""
    results: Counter[str] = Counter()
    done = 0
    while done < count:
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(receive)
            _child(name, reader, range(done, count), folder, send)
        os.close(send)
        with os.fdopen(receive) as lines:
            for line in lines:
                results[line.strip().split(" ", 1)[0]] += 1
                done += 1
                if line.startswith("ESCAPED"):
                    print(f"  {name} {line.strip()}")
        _, status = os.waitpid(pid, 0)
        if status and done < count:
            results["CRASH"] += 1
            print(f"  {name}: input {done} ended the process (status {status})")
            done += 1
    return results


def _child(name: str, reader: Reader, numbers: range, folder: Path, send: int) -> None:
    from inference_core.errors import UserError

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    with os.fdopen(send, "w", buffering=1) as out:
        for number in numbers:
            whole = reader.wholes[number % len(reader.wholes)]
            random = np.random.default_rng((sum(name.encode()), number))
            path = folder / f"damaged{''.join(whole.suffixes)}"
            path.write_bytes(reader.damage(random, whole.read_bytes()))
            before = set(os.listdir(folder))
            signal.alarm(LONGEST)
            try:
                reader.read(path)
                outcome = "read"
            except UserError as error:
                outcome = "refused" if error.message and error.remedy else f"ESCAPED {number} no remedy: {error.code}"
            except MemoryError:
                outcome = "out-of-memory"
            except BaseException as error:
                outcome = f"ESCAPED {number} {whole.name}: {type(error).__name__}: {error}".replace("\n", " ")[:300]
            signal.alarm(0)
            if set(os.listdir(folder)) != before:
                outcome = f"ESCAPED {number} left files behind"
            out.write(outcome + "\n")
    os._exit(0)


def main() -> int:
    """Fuzz all readers, or those that are named; fail where something other than read or refused happened."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    bad = 0
    with tempfile.TemporaryDirectory() as text:
        wholes, work = Path(text, "whole"), Path(text, "work")
        wholes.mkdir()
        work.mkdir()
        for name, reader in readers(wholes).items():
            if sys.argv[2:] and name not in sys.argv[2:]:
                continue
            begun = time.perf_counter()
            results = fuzz(name, reader, count, work)
            bad += sum(value for kind, value in results.items() if kind in ("ESCAPED", "CRASH"))
            said = ", ".join(f"{value} {kind}" for kind, value in sorted(results.items()))
            print(f"{name}: {sum(results.values())} inputs: {said}; {time.perf_counter() - begun:.0f} s", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
