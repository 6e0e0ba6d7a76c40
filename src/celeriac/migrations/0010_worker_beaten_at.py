"""When a worker gave its last sign of life, and the dead letters of a queue."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("celeriac", "0009_outbox")]
    operations = [
        migrations.AddField("worker", "beaten_at", models.BigIntegerField(null=True)),
        migrations.AddIndex("deadletter", models.Index(fields=["queue"], name="celeriac_deadletter_queue")),
    ]
