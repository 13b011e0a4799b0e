"""Conditions of a search."""

from ordertrace_rules.stores.elasticsearch.cluster import Body


def all_of(*conditions: Body) -> Body:
    return {"bool": {"filter": [*conditions]}}


def any_of(*queries: Body) -> Body:
    return {"bool": {"should": [*queries], "minimum_should_match": 1}}


def none_of(condition: Body) -> Body:
    return {"bool": {"must_not": [condition]}}


def is_kind(kind: str) -> Body:
    return {"term": {"kind": kind}}


def has(column: str) -> Body:
    return {"exists": {"field": column}}


def before(column: str, instant: int) -> Body:
    return {"range": {column: {"lt": instant}}}
