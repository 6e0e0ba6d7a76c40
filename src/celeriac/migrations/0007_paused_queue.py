"""Queues that are paused."""

import django.utils.timezone
from django.db import migrations, models


def compare_every_letter(apps, schema_editor):
    # As in 0002.
    if schema_editor.connection.vendor == "mysql":
        schema_editor.execute(
            "ALTER TABLE celeriac_pausedqueue CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )


class Migration(migrations.Migration):
    # MySQL cannot take DDL back; Django refuses it within a transaction.
    atomic = False
    dependencies = [("celeriac", "0006_revocation")]
    operations = [
        migrations.CreateModel(
            name="PausedQueue",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=200, unique=True)),
                ("paused_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.RunPython(compare_every_letter, migrations.RunPython.noop),
    ]
