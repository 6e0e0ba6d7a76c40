"""The schedule: what users enter, how far each entry has come, and its ticks."""

from django.db import migrations, models

_TABLES = ("schedule", "schedulestate", "scheduleorder", "tick")


def compare_every_letter(apps, schema_editor):
    # As in 0002.
    if schema_editor.connection.vendor == "mysql":
        for table in _TABLES:
            schema_editor.execute(
                f"ALTER TABLE celeriac_{table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )


class Migration(migrations.Migration):
    # MySQL cannot take DDL back; Django refuses it within a transaction.
    atomic = False
    dependencies = [("celeriac", "0010_worker_beaten_at")]

    operations = [
        migrations.CreateModel(
            name='Schedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, unique=True)),
                ('task', models.CharField(help_text="The task's name, such as shop.tasks.remind", max_length=255)),
                ('args', models.JSONField(blank=True, default=list, help_text='A JSON list: [1, "two"]')),
                ('kwargs', models.JSONField(blank=True, default=dict, help_text='A JSON object: {"days": 7}')),
                ('queue', models.CharField(blank=True, help_text='Empty: as the task is routed', max_length=200)),
                ('options', models.JSONField(blank=True, default=dict, help_text='More of apply_async(): {"priority": 5, "expires": 60}')),
                ('cron', models.CharField(blank=True, help_text='Minute, hour, day of month, month, day of week: 30 7 * * mon-fri (exactly one of cron, every, solar and at)', max_length=200)),
                ('every', models.DurationField(blank=True, help_text='An interval: 00:00:30; 1 00:00:00 is a day', null=True)),
                ('solar', models.CharField(blank=True, help_text='Event, latitude and longitude: sunset 48.21 16.37', max_length=100)),
                ('at', models.DateTimeField(blank=True, help_text='Once, at this moment', null=True)),
                ('time_zone', models.CharField(blank=True, help_text='Of cron: Europe/Berlin; empty: CELERY_TIMEZONE or TIME_ZONE', max_length=100)),
                ('is_enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('is_one_off', models.BooleanField(default=False, help_text='Fires once, and is disabled then', verbose_name='one-off')),
                ('starts_at', models.DateTimeField(blank=True, help_text='Nothing is due before; intervals count from here', null=True)),
                ('ends_at', models.DateTimeField(blank=True, help_text='Nothing is due after', null=True)),
                ('catch_up', models.CharField(choices=[('skip', 'none of them, when the last one is over'), ('once', 'one task for all of them'), ('all', 'a task for each of them')], default='once', help_text='Of due times that passed while no scheduler ran', max_length=10)),
                ('grace_seconds', models.FloatField(blank=True, help_text='What is later than this is left out; empty: as the policy says', null=True)),
                ('description', models.TextField(blank=True)),
                ('changed_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='ScheduleOrder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, unique=True)),
                ('is_paused', models.BooleanField(default=False)),
                ('skips', models.IntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='ScheduleState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('fingerprint', models.CharField(max_length=40)),
                ('is_from_table', models.BooleanField(default=False)),
                ('anchor', models.BigIntegerField()),
                ('next_due', models.BigIntegerField(null=True)),
                ('last_due', models.BigIntegerField(null=True)),
                ('last_fired_at', models.BigIntegerField(null=True)),
                ('last_task_id', models.CharField(max_length=255, null=True)),
                ('seen_at', models.BigIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'fingerprint'), name='celeriac_schedulestate_unique')],
            },
        ),
        migrations.CreateModel(
            name='Tick',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('due', models.BigIntegerField()),
                ('fired_at', models.BigIntegerField()),
                ('task_id', models.CharField(max_length=255, null=True)),
                ('fault', models.TextField(default='')),
            ],
            options={
                'indexes': [models.Index(fields=['fired_at'], name='celeriac_tick_fired')],
                'constraints': [models.UniqueConstraint(fields=('name', 'due'), name='celeriac_tick_unique')],
            },
        ),
        migrations.RunPython(compare_every_letter, migrations.RunPython.noop),
    ]
