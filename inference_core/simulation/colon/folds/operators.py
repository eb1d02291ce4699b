"""Sparse operators on a surface: its Laplacian, its edges as a graph, and the solver of what is built from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.mesh.surface import Points, Surface, edges, face_vectors, vertex_areas
from inference_core.simulation.colon.path.curve import unit

FLAT = 1e-3  # of the mean area: smaller triangles are taken for that large, or slivers would outweigh all others


def laplacian(surface: Surface, along: Points | None = None, sideways: float = 1.0) -> Any:
    """Laplacian by linear finite elements, positive semi-definite, as a sparse (N, N) matrix without unit.

    Parameters
    ----------
    surface : Surface
    along : (N, 3), optional
        Unit direction at each vertex, its sign of no meaning, that counts in full.
    sideways : float
        How much, from 0 to 1, the direction square to it counts.

    References
    ----------
    Meyer, Desbrun, Schröder, Barr: Discrete differential-geometry operators for triangulated 2-manifolds, 2003; with a
    diffusion tensor on each triangle.
    """
    from scipy.sparse import coo_matrix

    gradients, normals, areas = _hat_gradients(surface)
    products = gradients @ gradients.transpose(0, 2, 1)
    if along is not None:
        slopes = (gradients * _on_faces(surface, along, normals)[:, None]).sum(axis=2)
        products = sideways * products + (1 - sideways) * slopes[:, :, None] * slopes[:, None, :]
    rows, columns = np.repeat(surface.faces, 3, axis=1), np.tile(surface.faces, (1, 3))
    values = products.reshape(-1, 9) * areas[:, None]
    return coo_matrix((values.ravel(), (rows.ravel(), columns.ravel())), (len(surface.vertices),) * 2).tocsr()


def gradient(surface: Surface, values: NDArray[np.float64]) -> Points:
    """Gradient on each triangle of what is given at vertices, linear between them; per mm, (M, 3)."""
    gradients, _, _ = _hat_gradients(surface)
    return np.asarray((gradients * values[surface.faces][:, :, None]).sum(axis=1))


def _hat_gradients(surface: Surface) -> tuple[Points, Points, NDArray[np.float64]]:
    """Gradients of the function that is 1 at a corner (M, 3 corners, 3); unit normals; areas in mm²."""
    normals = face_vectors(surface)
    double = np.linalg.norm(normals, axis=1)
    double = np.maximum(double, FLAT * double.mean())
    normals = normals / double[:, None]
    corners = surface.vertices[surface.faces]
    opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
    return np.cross(normals[:, None], opposite) / double[:, None, None], normals, double / 2


def _on_faces(surface: Surface, along: Points, normals: Points) -> Points:
    """The direction within each triangle, from those at its corners; unit vectors (M, 3)."""
    at_corners = along[surface.faces]
    signs = np.where((at_corners * at_corners[:, :1]).sum(axis=2, keepdims=True) < 0, -1, 1)
    mean = (signs * at_corners).sum(axis=1)
    return unit(mean - (mean * normals).sum(axis=1, keepdims=True) * normals)


def mass(surface: Surface) -> NDArray[np.float64]:
    """Area of each vertex in mm², never zero; (N,)."""
    areas = vertex_areas(surface)
    return np.maximum(areas, 1e-3 * float(areas.mean()))


def neighbours(surface: Surface) -> Any:
    """Edge lengths in mm as a sparse symmetric (N, N) matrix."""
    from scipy.sparse import coo_matrix

    pairs = edges(surface)
    lengths = np.linalg.norm(surface.vertices[pairs[:, 0]] - surface.vertices[pairs[:, 1]], axis=1)
    one_way = coo_matrix((np.maximum(lengths, 1e-9), pairs.T), (len(surface.vertices),) * 2).tocsr()
    return one_way + one_way.T


def solve(matrix: Any, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solution of a symmetric positive definite sparse system; right-hand sides are columns."""
    from scipy.sparse.linalg import splu

    factors = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(factors.solve(right))


def pieces(graph: Any, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Connected pieces of equal labels, from 1; 0 where the label is 0; (N,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = graph.tocoo()
    same = (labels[links.row] == labels[links.col]) & (labels[links.row] != 0)
    kept = coo_matrix((np.ones(int(same.sum())), (links.row[same], links.col[same])), graph.shape)
    _, numbers = connected_components(kept, directed=False)
    found = np.zeros(len(labels), np.int64)
    inside = labels != 0
    found[inside] = np.unique(numbers[inside], return_inverse=True)[1] + 1
    return found


def numbered(part: NDArray[np.int64], areas: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Parts numbered anew, the largest first; those not kept get 0, as what had it; (N,)."""
    size = np.bincount(part, areas)
    order = np.flatnonzero(kept & (np.arange(len(size)) > 0))
    number = np.zeros(len(size), np.int64)
    number[order[np.argsort(-size[order], kind="stable")]] = np.arange(1, len(order) + 1)
    return number[part]


def within(graph: Any, start: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """What lies no more than ``reach`` mm along edges from where ``start`` is true; (N,)."""
    from scipy.sparse.csgraph import dijkstra

    if not start.any():
        return start
    way = dijkstra(graph, indices=np.flatnonzero(start), min_only=True, limit=reach)
    return np.isfinite(way)
