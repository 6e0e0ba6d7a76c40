"""On MariaDB and MySQL, names of queues, keys and nodes are equal only when every letter is.

The usual collations there take `Mails` and `máils` for `mails`: one queue's consumer would be handed
another queue's messages.
"""

from django.db import migrations

TABLES = (
    "celeriac_binding",
    "celeriac_broadcast",
    "celeriac_message",
    "celeriac_queue",
    "celeriac_worker",
)


def compare_every_letter(apps, schema_editor):
    if schema_editor.connection.vendor == "mysql":
        for table in TABLES:
            schema_editor.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")


class Migration(migrations.Migration):
    # MySQL cannot take DDL back; Django refuses it within a transaction.
    atomic = False
    dependencies = [("celeriac", "0001_initial")]
    operations = [migrations.RunPython(compare_every_letter, migrations.RunPython.noop)]
