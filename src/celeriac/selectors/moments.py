"""What a filter finds at a moment: how many rows, and the filter without those that come later."""

from typing import TypeVar

from django.db.models import Count, Max, Model, QuerySet

Rows = TypeVar("Rows", bound=Model)


def counted(rows: QuerySet[Rows]) -> tuple[QuerySet[Rows], int]:
    """These rows, and how many they are: whoever says yes to a number says it to no row that comes later."""
    found = rows.order_by().aggregate(count=Count("pk"), newest=Max("pk"))
    return rows.filter(pk__lte=found["newest"] or 0), found["count"]
