"""The tables that every message writes: fewer index entries for each, and PostgreSQL cleans up sooner.

PostgreSQL's own settings wait for a fifth of a table to be dead, and then vacuum slowly: a queue's table is
empty most of the time, and dead all over after every burst.
"""

from django.db import migrations, models

from celeriac.database.indexes import PartialIndex

_SOON = {
    "autovacuum_vacuum_threshold": 1000,
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_cost_delay": 0,
}
#: A changed row stays in its page when there is room, and no index is written.
STORAGE = {
    "celeriac_message": _SOON,
    "celeriac_broadcast": _SOON,
    # A heartbeat every few seconds in a few rows.
    "celeriac_worker": {"fillfactor": 50, "autovacuum_vacuum_threshold": 100},
    # Two changes for each row: three quarters of them stay in their page, in place of one in fifty.
    "celeriac_taskrecord": {"fillfactor": 70},
}


def set_storage(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, settings in STORAGE.items():
            given = ", ".join(f"{name} = {value}" for name, value in settings.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({given})")


def reset_storage(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, settings in STORAGE.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(settings)})")


class Migration(migrations.Migration):
    dependencies = [("celeriac", "0002_exact_names_on_mysql")]
    operations = [
        migrations.RemoveIndex("message", "celeriac_message_next"),
        migrations.RemoveIndex("message", "celeriac_message_due"),
        migrations.RemoveIndex("message", "celeriac_message_claimed"),
        migrations.AddIndex(
            "message",
            PartialIndex(
                fields=["queue", "state", "turn", "id"],
                name="celeriac_message_next",
                rows=models.Q(state__in=[0, 1]),
            ),
        ),
        migrations.AddIndex(
            "message",
            PartialIndex(
                fields=["state", "available_at"], name="celeriac_message_due", rows=models.Q(state=0)
            ),
        ),
        migrations.AddIndex(
            "message",
            PartialIndex(
                fields=["claimed_by"],
                name="celeriac_message_claimed",
                rows=models.Q(claimed_by__isnull=False),
            ),
        ),
        migrations.RunPython(set_storage, reset_storage),
    ]
