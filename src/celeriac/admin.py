"""The schedule in Django's admin, which imports this where it is installed."""

import logging
from difflib import get_close_matches
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from celeriac import discovery
from celeriac.app import get_app
from celeriac.errors import CeleriacError
from celeriac.models import Schedule
from celeriac.schedule import table
from celeriac.schedule.entries import Entry, shown

logger = logging.getLogger(__name__)


class _Line(forms.ModelForm):  # type: ignore[type-arg]  # as below
    """A row in the list, where it has few of its fields."""

    def add_error(self, field: str | None, error: Any) -> None:
        """Django takes a fault of a field that is not here for an error of the program."""
        faults = getattr(error, "error_dict", {})
        if field is None and not self.fields.keys() >= faults.keys():
            error = ValidationError([f"{name}: {text}" for name, texts in error for text in texts])
        super().add_error(field, error)


@admin.register(Schedule)
class ScheduleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    """Entries that workers follow within seconds."""

    list_display = ("name", "task", "due", "queue", "is_enabled", "is_one_off")
    list_filter = ("is_enabled", "task")
    search_fields = ("name", "task", "description")
    list_editable = ("is_enabled",)
    fieldsets = (
        (None, {"fields": ("name", "task", "args", "kwargs", "is_enabled", "description")}),
        ("When: one of these", {"fields": ("cron", "time_zone", "every", "solar", "at")}),
        ("From when to when", {"fields": ("starts_at", "ends_at", "is_one_off"), "classes": ("collapse",)}),
        ("What was missed", {"fields": ("catch_up", "grace_seconds"), "classes": ("collapse",)}),
        ("How it is published", {"fields": ("queue", "options"), "classes": ("collapse",)}),
    )

    @admin.display(description="due")
    def due(self, row: Schedule) -> str:
        """When, in a few words; or why not."""
        entry = table.entry(get_app(), row)
        return shown(entry.timing) if isinstance(entry, Entry) else entry.fault

    def get_changelist_form(self, request: HttpRequest, **options: Any) -> Any:
        """A row that cannot be saved says why; its own page has the fields."""
        return super().get_changelist_form(request, **{"form": _Line, **options})

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: Any) -> None:
        """Save it, and say so where no task of that name is known here: other workers may know it."""
        super().save_model(request, obj, form, change)
        known = _known_tasks()
        if obj.task not in known:
            near = get_close_matches(obj.task, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            self.message_user(
                request, f"No task {obj.task!r} is known to this process.{meant}", messages.WARNING
            )


def _known_tasks() -> list[str]:
    try:
        # A web process has imported those that it calls.
        discovery.discover()
    except CeleriacError:
        logger.warning("Not every file of tasks can be imported.", exc_info=True)
    return list(get_app().tasks)
