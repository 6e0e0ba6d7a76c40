"""How many tasks have ended so far, for monitors."""

from django.db import migrations, models


def compare_every_letter(apps, schema_editor):
    # As in 0002.
    if schema_editor.connection.vendor == "mysql":
        schema_editor.execute(
            "ALTER TABLE celeriac_tasktotal CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )


class Migration(migrations.Migration):
    # MySQL cannot take DDL back; Django refuses it within a transaction.
    atomic = False
    dependencies = [("celeriac", "0011_schedule")]
    operations = [
        migrations.CreateModel(
            name="TaskTotal",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("task_name", models.CharField(max_length=255)),
                ("state", models.CharField(max_length=50)),
                ("count", models.BigIntegerField(default=0)),
                ("timed", models.BigIntegerField(default=0)),
                ("seconds", models.FloatField(default=0.0)),
                ("within", models.TextField(default="[]")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["task_name", "state"], name="celeriac_tasktotal_unique")
                ],
            },
        ),
        migrations.CreateModel(
            name="TotalsCursor",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("counted_until", models.DateTimeField()),
            ],
        ),
        migrations.RunPython(compare_every_letter, migrations.RunPython.noop),
    ]
