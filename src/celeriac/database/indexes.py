"""An index over part of a table's rows, where the database has such indexes."""

from typing import Any

from django.db import models


class PartialIndex(models.Index):
    """Over `rows` alone on SQLite and PostgreSQL; over all rows on MariaDB and MySQL, which have no other."""

    # Django's own `condition` would warn at every `migrate` there, and make no index at all.
    def __init__(self, *, rows: models.Q, fields: list[str], name: str) -> None:
        self.rows = rows
        super().__init__(fields=fields, name=name)

    def deconstruct(self) -> Any:
        path, expressions, kwargs = super().deconstruct()
        return path, expressions, {**kwargs, "rows": self.rows}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        is_possible = schema_editor.connection.features.supports_partial_indexes
        index = models.Index(fields=self.fields, name=self.name, condition=self.rows if is_possible else None)
        return index.create_sql(model, schema_editor, using, **kwargs)
