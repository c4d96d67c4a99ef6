"""Vectors of types to proposals, groups of like types with a suggested label: the stage `cluster`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks.params import nearest
from hierlandmarks.progress import say
from hierlandmarks.schema import PROPOSALS
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import from_rows, read_table
from hierlandmarks_pipelines.ancestry import parents_of
from hierlandmarks_pipelines.encoders import find_encoder
from hierlandmarks_pipelines.labelfiles import Taxonomy, label_files, read_taxonomy
from hierlandmarks_pipelines.proposals import central_names, permanent_ids
from hierlandmarks_pipelines.suggest import Suggestion, suggest_labels
from hierlandmarks_pipelines.vectorcache import Vectors

METHODS = ("auto", "agglomerative", "kmeans")
MANY = 20_000  # types from which on `auto` takes k-means: agglomerative needs 16 bytes for every pair, 3.2 GB here
LOW = 0.6  # stability below which proposals should not be taken for more than an order to read types in
_DROPOUT = 0.01
_EXAMPLES = 4
_BLOCK = 512

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClusterParams:
    """Settings of the stage.

    Attributes:
        method: `agglomerative` (average linkage on cosine distance), `kmeans` (spherical, faiss), or `auto`:
            agglomerative up to 20,000 types.
        distance: agglomerative: clusters nearer than this cosine distance are merged.
        clusters: k-means: number of clusters; a third of the types when not given.
        trials: how often stability is measured; 0 leaves it out.
        seed: of k-means, of the shuffling and of the dropout.
        model: the text model that made the vectors, where it is a folder; its name is in the vectors.
        labels: folder with taxonomy.csv; the bundled one when not given.
        earlier: a proposals table whose ids are kept where clusters persist.
    """

    method: str = "auto"
    distance: float = 0.5
    clusters: int | None = None
    trials: int = 3
    seed: int = 0
    model: str = ""
    labels: Path | None = None
    earlier: Path | None = None


@dataclass(frozen=True)
class Clustering:
    """How to cluster: what `find_clusters` needs of the parameters."""

    method: str
    distance: float
    clusters: int | None


def find_clusters(vectors: Vectors, how: Clustering, seed: int = 0) -> Numbers:
    """Cluster unit vectors.

    Args:
        vectors: float32, shape (N, D), rows of unit length.
        how: method and its setting.
        seed: of k-means.

    Returns:
        int64, shape (N,): cluster numbers without meaning, used only until proposals have their ids.

    Raises:
        UsageError: an unknown method, or a setting out of range.

    Agglomerative takes O(N²) time and memory (6,000 types: about 2 s, 0.3 GB); k-means O(N · clusters · D).
    """
    if how.method not in METHODS:
        raise UsageError(f"there is no clustering method {how.method!r}", do=nearest(how.method, METHODS))
    if not 0 < how.distance < 2:
        raise UsageError("distance is out of range", got=how.distance, expected="above 0 and below 2")
    if how.clusters is not None and how.clusters < 1:
        raise UsageError("clusters is out of range", got=how.clusters, expected="1 or more")
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.int64)
    few = len(vectors) <= MANY
    if how.method == "agglomerative" or (how.method == "auto" and few):
        return _agglomerative(vectors, how.distance)
    return _spherical_kmeans(vectors, min(how.clusters or max(1, len(vectors) // 3), len(vectors)), seed)


def _agglomerative(vectors: Vectors, distance: float) -> Numbers:
    from scipy.cluster.hierarchy import fcluster, linkage

    count, place = len(vectors), 0
    distances = np.empty(count * (count - 1) // 2)
    for first in range(0, count, _BLOCK):  # matrix products of some rows each: no second square in memory
        for row, near in enumerate(vectors[first : first + _BLOCK] @ vectors[first:].T, start=1):
            distances[place : place + len(near) - row] = 1 - near[row:]
            place += len(near) - row
    np.maximum(distances, 0, out=distances)
    merges = linkage(distances, method="average")
    return np.asarray(fcluster(merges, np.nextafter(distance, 0), criterion="distance"), dtype=np.int64)


def _spherical_kmeans(vectors: Vectors, clusters: int, seed: int) -> Numbers:
    import faiss

    settings = {"niter": 25, "nredo": 5, "spherical": True, "seed": seed, "min_points_per_centroid": 1}
    kmeans = faiss.Kmeans(vectors.shape[1], clusters, **settings)
    kmeans.train(np.ascontiguousarray(vectors))
    return np.asarray(kmeans.assign(np.ascontiguousarray(vectors))[1], dtype=np.int64)


def stability(vectors: Vectors, clusters: Numbers, how: Clustering, *, trials: int, seed: int) -> float:
    """How much clusters depend on chance: the adjusted Rand index under shuffling and 1 % dropout.

    Args:
        vectors: as for `find_clusters`.
        clusters: its result.
        how: the same settings.
        trials: how often to shuffle, drop and cluster again; at least 1.
        seed: of the shuffling, the dropout and k-means.

    Returns:
        The mean over trials, of pairs of types that stayed: 1 the same clusters, 0 no more alike than by chance.
    """
    from sklearn.metrics import adjusted_rand_score

    scores = []
    for trial in range(trials):
        random = np.random.default_rng([seed, trial])
        kept = random.permutation(len(vectors))[max(1, round(len(vectors) * _DROPOUT)) :]
        scores.append(adjusted_rand_score(clusters[kept], find_clusters(vectors[kept], how, seed + trial + 1)))
    return float(np.mean(scores))


def propose(
    vectors: pa.Table,
    types: pa.Table,
    categories: pa.Table,
    clusters: Numbers,
    suggestions: Mapping[str, Suggestion],
    earlier: Mapping[str, str],
) -> pa.Table:
    """Put clusters into words: a permanent id and a name for each, a suggested label and examples for every type.

    Args:
        vectors: a `schema.VECTORS` table, the types' rows only.
        types: a `schema.TYPES` table.
        categories: a `schema.CATEGORIES` table, for names of landmarks.
        clusters: cluster number of every row of `vectors`.
        suggestions: by type id.
        earlier: proposal id by type id, of an earlier run.

    Returns:
        A `schema.PROPOSALS` table, one row a type.
    """
    type_ids, names = vectors["type_id"].to_pylist(), vectors["type"].to_pylist()
    matrix = as_matrix(vectors)
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(clusters.tolist()):
        rows_of[number].append(row)
    groups = list(rows_of.values())
    proposals = permanent_ids([[type_ids[row] for row in group] for group in groups], earlier)
    counts, examples = _landmarks(types, categories)
    made = []
    for proposal_id, group in zip(proposals, groups, strict=True):
        title = central_names([names[row] for row in group], matrix[group])
        for row in group:
            suggestion = suggestions[type_ids[row]]
            made.append(
                {
                    "type_id": type_ids[row],
                    "type": names[row],
                    "proposal_id": proposal_id,
                    "name": title,
                    "label_id": suggestion.label.label_id,
                    "label": suggestion.label.label,
                    "confidence": suggestion.confidence,
                    "landmarks": counts[type_ids[row]],
                    "examples": "; ".join(examples[type_ids[row]]),
                }
            )
    return from_rows(made, PROPOSALS)


def as_matrix(vectors: pa.Table) -> Vectors:
    """The vectors of a `schema.VECTORS` table, shape (rows, D).

    Raises:
        TableError: rows of different lengths, or made by different models.
    """
    if len(models := set(vectors["model"].to_pylist())) > 1:
        raise TableError("vectors come from several models", got=", ".join(sorted(models)), do="run the stage text")
    column = vectors["vector"].combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    if len(column) and len(set(column.value_lengths().to_pylist())) > 1:
        raise TableError("vectors have different lengths", do="run the stage text")
    return values.reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)


def _landmarks(types: pa.Table, categories: pa.Table) -> tuple[Counter[str], dict[str, list[str]]]:
    """How many landmarks have each type, and the names of the first few."""
    keys = [categories[name].to_pylist() for name in ("space", "landmark_id", "name")]
    name_of = {(space, landmark): name for space, landmark, name in zip(*keys, strict=True)}
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = defaultdict(list)
    columns = [types[name].to_pylist() for name in ("space", "landmark_id", "type_id")]
    for space, landmark, type_id in zip(*columns, strict=True):
        counts[type_id] += 1
        name = name_of.get((space, landmark), "")
        if name and len(examples[type_id]) < _EXAMPLES and name not in examples[type_id]:
            examples[type_id].append(name)
    return counts, examples


def _run(params: ClusterParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    vectors, types = inputs["vectors"], inputs["types"]
    taxonomy = read_taxonomy(label_files(params.labels)[0])
    model = vectors["model"][0].as_py() if vectors.num_rows else "lexical-ngrams"
    by_id = dict(zip(vectors["type_id"].to_pylist(), as_matrix(vectors), strict=True))
    stated = set(types["type_id"].to_pylist())
    own = vectors.filter(pa.array([type_id in stated for type_id in by_id], pa.bool_()))
    suggestions = _suggest(params.model or model, by_id, own, parents_of(inputs["subclasses"]), taxonomy)
    matrix, how = as_matrix(own), Clustering(params.method, params.distance, params.clusters)
    clusters = find_clusters(matrix, how, params.seed)
    if params.trials and len(matrix) > 2:
        _report(stability(matrix, clusters, how, trials=params.trials, seed=params.seed), clusters)
    earlier = read_table(params.earlier, PROPOSALS).to_pylist() if params.earlier else []
    kept = {row["type_id"]: row["proposal_id"] for row in earlier}
    return {"proposals": propose(own, types, inputs["categories"], clusters, suggestions, kept)}


def _suggest(
    model: str, vectors: Mapping[str, Vectors], own: pa.Table, parents: Mapping[str, Sequence[str]], taxonomy: Taxonomy
) -> dict[str, Suggestion]:
    return suggest_labels(vectors, own["type_id"].to_pylist(), parents, taxonomy, find_encoder(model))


def _report(score: float, clusters: Numbers) -> None:
    say(f"        {len(clusters)} types in {len(set(clusters.tolist()))} proposals, stability {score:.2f}")
    if score < LOW:
        say(f"        stability below {LOW} is low: read the types one by one rather than proposal by proposal")


def _reads(params: ClusterParams) -> tuple[Path, ...]:
    taxonomy = label_files(params.labels)[0]
    return (taxonomy, params.earlier) if params.earlier else (taxonomy,)


STAGE = Stage(
    name="cluster",
    about="like types together, each with a suggested label",
    params=ClusterParams,
    needs=("vectors", "types", "subclasses", "categories"),
    makes=("proposals",),
    run=_run,
    reads=_reads,
)
