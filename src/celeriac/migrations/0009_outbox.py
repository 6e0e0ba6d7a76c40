"""What is on its way to RabbitMQ, Redis and other brokers."""

from django.db import migrations, models


def compare_every_letter(apps, schema_editor):
    # As in 0002.
    if schema_editor.connection.vendor == "mysql":
        schema_editor.execute(
            "ALTER TABLE celeriac_outbox CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )


class Migration(migrations.Migration):
    # MySQL cannot take DDL back; Django refuses it within a transaction.
    atomic = False
    dependencies = [("celeriac", "0008_attempt")]
    operations = [
        migrations.CreateModel(
            name="Outbox",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("holder", models.BigIntegerField(default=0)),
                ("place", models.IntegerField(default=0)),
                ("queue", models.CharField(default="", max_length=200)),
                ("task_id", models.CharField(max_length=255, null=True)),
                ("task_name", models.CharField(max_length=255, null=True)),
                ("payload", models.TextField()),
                ("refusals", models.SmallIntegerField(default=0)),
                ("reason", models.TextField(default="")),
            ],
            options={
                "verbose_name_plural": "outbox",
                "indexes": [models.Index(fields=["holder", "id"], name="celeriac_outbox_next")],
            },
        ),
        migrations.RunPython(compare_every_letter, migrations.RunPython.noop),
    ]
