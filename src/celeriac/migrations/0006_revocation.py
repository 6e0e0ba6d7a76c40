"""What was revoked, for workers that are started later."""

import django.utils.timezone
from django.db import migrations, models


def compare_every_letter(apps, schema_editor):
    # As in 0002: else `A` would count as revoked already when `a` is.
    if schema_editor.connection.vendor == "mysql":
        schema_editor.execute(
            "ALTER TABLE celeriac_revocation CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )


class Migration(migrations.Migration):
    # MySQL cannot take DDL back; Django refuses it within a transaction.
    atomic = False
    dependencies = [("celeriac", "0005_narrow_records")]
    operations = [
        migrations.CreateModel(
            name="Revocation",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("header", models.CharField(default="", max_length=200)),
                ("value", models.CharField(max_length=255)),
                ("revoked_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "indexes": [models.Index(fields=["revoked_at"], name="celeriac_revocation_at")],
                "constraints": [
                    models.UniqueConstraint(fields=["value", "header"], name="celeriac_revocation_unique")
                ],
            },
        ),
        migrations.RunPython(compare_every_letter, migrations.RunPython.noop),
    ]
