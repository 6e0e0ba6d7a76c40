"""Attempts that did not succeed, and where a task that was sent again came from."""

from django.db import migrations, models


def compare_every_letter(apps, schema_editor):
    # As in 0002: else the attempts of task `A` would be those of `a`, too.
    if schema_editor.connection.vendor == "mysql":
        schema_editor.execute(
            "ALTER TABLE celeriac_attempt CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )


class Migration(migrations.Migration):
    # MySQL cannot take DDL back; Django refuses it within a transaction.
    atomic = False
    dependencies = [("celeriac", "0007_paused_queue")]
    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("run_key", models.CharField(max_length=64, unique=True)),
                ("task_id", models.CharField(max_length=255)),
                ("task_name", models.CharField(default="", max_length=255)),
                ("number", models.IntegerField()),
                ("worker", models.CharField(default="", max_length=200)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("FAILURE", "raised an error"),
                            ("RETRY", "asked for another run"),
                            ("TIME_LIMIT", "ran longer than it may"),
                            ("LOST", "its process or its worker died"),
                            ("RETURNED", "given back by a worker that stopped"),
                            ("REJECTED", "refused its message"),
                            ("REVOKED", "terminated"),
                            ("GIVEN_UP", "its message became a dead letter without another run"),
                        ],
                        max_length=20,
                    ),
                ),
                ("exception", models.CharField(default="", max_length=255)),
                ("message", models.TextField(default="")),
                ("traceback", models.TextField(default="")),
                ("fingerprint", models.CharField(default="", max_length=32)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["task_id", "number"], name="celeriac_attempt_task"),
                    models.Index(fields=["ended_at"], name="celeriac_attempt_ended"),
                    models.Index(fields=["fingerprint", "ended_at"], name="celeriac_attempt_alike"),
                ],
            },
        ),
        migrations.AddField("TaskRecord", "origin_id", models.CharField(max_length=255, null=True)),
        migrations.AddField("TaskRecord", "sent_again_at", models.DateTimeField(null=True)),
        migrations.RunPython(compare_every_letter, migrations.RunPython.noop),
    ]
