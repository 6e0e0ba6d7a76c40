"""PostgreSQL always cleans the index of the messages: every claim begins where the last ones were finished.

By itself it leaves the entries of dead rows in the index when they stand in few pages, which is how they stand in a
table that has many messages waiting; every claim would read over them.
"""

from django.db import migrations

STORAGE = {
    "celeriac_message": {"vacuum_index_cleanup": "on"},
    "celeriac_broadcast": {"vacuum_index_cleanup": "on"},
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
    dependencies = [("celeriac", "0003_hot_tables")]
    operations = [migrations.RunPython(set_storage, reset_storage)]
