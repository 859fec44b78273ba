"""Ids of what a synthesis makes: the hash of what it is about, so that they are the same in every run."""

from __future__ import annotations

from antiphon.subagents.records import FactKey, FindingKey, PatchKey, digest_of
from antiphon.tracing.log import Json


def key_id(key: FindingKey | FactKey | PatchKey) -> str:
    """The id of the cluster with this key."""
    return digest_of(key.model_dump(mode="json"))


def subject_id(kind: str, *subject: Json) -> str:
    """The id of a conflict of this kind about this subject."""
    return digest_of([kind, *subject])
