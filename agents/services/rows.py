"""Models read and written by SQL that is made once, for the few statements that run with every batch.

The ORM spends a third of a batch's time on writing the same SQL again; what it reads is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from django.db import connection, models

M = TypeVar("M", bound=models.Model)
Statement = tuple[str, Sequence[Any] | Mapping[str, Any]]


@cache
def columns(model: type[models.Model], alias: str) -> str:
    """All of the model's columns, for a SELECT."""
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


@cache
def width(model: type[models.Model]) -> int:
    return len(model._meta.concrete_fields)


@cache
def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _converted(model: type[models.Model]) -> list[tuple[int, Any]]:
    """The places of the values that do not come as they are: JSON."""
    found = []
    for place, field in enumerate(model._meta.concrete_fields):
        found += [(place, convert) for convert in cast(Any, field).get_db_converters(connection)]
    return found


def build(model: type[M], values: Sequence[Any]) -> M:
    """The model of these values, in the order of `columns`."""
    taken = list(values)
    for place, convert in _converted(model):
        taken[place] = convert(taken[place], None, connection)
    return model.from_db(connection.alias, _names(model), taken)


def first(model: type[M], where: str, params: Sequence[Any]) -> M | None:
    row = one(f"SELECT {columns(model, 'm')} FROM {model._meta.db_table} m WHERE {where}", params)
    return None if row is None else build(model, row)


def save(row: models.Model, *names: str) -> None:
    """Write these fields of a row that is there."""
    statement, fields = _saving(type(row), names)
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, row.pk])


@cache
def _saving(model: type[models.Model], names: tuple[str, ...]) -> tuple[str, list[Any]]:
    fields = [cast(Any, model._meta.get_field(name)) for name in names]
    sets = ", ".join(f'"{field.column}" = %s' for field in fields)
    return f"UPDATE {model._meta.db_table} SET {sets} WHERE id = %s", fields


def inserting(row: models.Model) -> Statement:
    """All of a new row; whoever runs it knows that the row is there from then on."""
    statement, fields = _inserting(type(row))
    return statement, [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]


@cache
def _inserting(model: type[models.Model]) -> tuple[str, list[Any]]:
    fields = [cast(Any, field) for field in model._meta.concrete_fields]
    names = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(["%s"] * len(fields))
    return f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({values})", fields


def several(*statements: Statement) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement, in one round trip.

    They run one after the other, as if each were sent alone: within a transaction a statement sees what those
    before it did, what others committed until it began, and waits for locks in its turn.
    """
    with connection.cursor() as cursor:
        cursor.execute("; ".join([cursor.mogrify(*statement) for statement in statements]))
        found = [_fetched(cursor)]
        while cursor.nextset():
            found.append(_fetched(cursor))
    return found


def _fetched(cursor: Any) -> list[tuple[Any, ...]]:
    return cursor.fetchall() if cursor.description else []


def one(statement: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row
