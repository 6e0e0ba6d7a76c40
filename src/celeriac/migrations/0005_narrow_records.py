"""Records of tasks that belong to no workflow and no group are in fewer indexes: two pages less for each task."""

from django.db import migrations, models

from celeriac.database.indexes import PartialIndex


class Migration(migrations.Migration):
    dependencies = [("celeriac", "0004_cleaned_index")]
    operations = [
        migrations.RemoveIndex("taskrecord", "celeriac_record_root"),
        migrations.RemoveIndex("taskrecord", "celeriac_record_group"),
        migrations.AddIndex(
            "taskrecord",
            PartialIndex(
                fields=["root_id"], name="celeriac_record_root", rows=~models.Q(root_id=models.F("task_id"))
            ),
        ),
        migrations.AddIndex(
            "taskrecord",
            PartialIndex(
                fields=["group_id"], name="celeriac_record_group", rows=models.Q(group_id__isnull=False)
            ),
        ),
    ]
