"""Permanent ids and names of proposals: a cluster keeps its id for as long as most of its types stay together."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hierlandmarks_pipelines.vectorcache import Vectors

_SHARED = 0.5  # two proposals are the same when more than this share of the types they know together is in both


def permanent_ids(clusters: Sequence[Sequence[str]], earlier: Mapping[str, str]) -> list[str]:
    """An id for every cluster that does not depend on its number, its order or the run.

    A cluster takes the id of the earlier proposal that it shares more than half of their types with, counting only
    types known to both runs, the closest pair first. Any other gets an id made from its members.

    Args:
        clusters: type ids of every cluster; no type in two.
        earlier: proposal id by type id, from an earlier run; may be empty.

    Returns:
        One id a cluster, `hl:p-` and ten hex digits, all different.

    Linear in types and in pairs of clusters that share one.
    """
    members = [frozenset(cluster) for cluster in clusters]
    ids: dict[int, str] = {}
    for _, number, proposal in _overlaps(members, earlier):
        if number not in ids and proposal not in ids.values():
            ids[number] = proposal
    taken = set(ids.values()) | set(earlier.values())
    for number in sorted(set(range(len(members))) - ids.keys(), key=lambda n: sorted(members[n])):
        ids[number] = _fresh_id(members[number], taken)
        taken.add(ids[number])
    return [ids[number] for number in range(len(members))]


def _overlaps(members: Sequence[frozenset[str]], earlier: Mapping[str, str]) -> Iterable[tuple[float, int, str]]:
    """(minus the Jaccard index, cluster, earlier proposal) of every pair that counts as the same, closest first."""
    known = frozenset().union(*members)
    before: dict[str, set[str]] = defaultdict(set)
    for type_id, proposal in earlier.items():
        if type_id in known:
            before[proposal].add(type_id)
    pairs = []
    for number, cluster in enumerate(members):
        old = {type_id for type_id in cluster if type_id in earlier}
        for proposal in {earlier[type_id] for type_id in old}:
            share = len(old & before[proposal]) / len(old | before[proposal])
            if share > _SHARED:
                pairs.append((-share, proposal, min(cluster), number))
    return [(share, number, proposal) for share, proposal, _, number in sorted(pairs)]


def _fresh_id(members: frozenset[str], taken: set[str]) -> str:
    for salt in range(len(taken) + 1):
        text = "\n".join([*sorted(members), *([str(salt)] if salt else [])])
        proposal = "hl:p-" + hashlib.sha256(text.encode()).hexdigest()[:10]
        if proposal not in taken:
            return proposal
    raise AssertionError("more ids tried than are taken")


def central_names(names: Sequence[str], vectors: Vectors, count: int = 3) -> str:
    """The names of a cluster's most central members, joined by ', '.

    Args:
        names: of the members.
        vectors: of the members, unit length, shape (members, D).
        count: how many names at most.

    >>> vectors = np.array([[0.6, 0.8], [0.8, 0.6], [1, 0]], np.float32)
    >>> central_names(["road bridge", "bridge", "lake"], vectors, count=2)
    'bridge, road bridge'
    """
    closeness = np.round((vectors @ vectors.sum(axis=0)).astype(np.float64), 5)
    order = sorted(range(len(names)), key=lambda i: (-closeness[i], names[i]))
    return ", ".join(names[i] for i in order[:count])
