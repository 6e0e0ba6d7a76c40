"""The page by Django's own test client: `python manage.py test`."""

import json
import re
import tempfile
from datetime import timedelta
from pathlib import Path
from unittest import mock
from uuid import uuid4

import tasks
from celery import states
from django.test import Client, TestCase, override_settings
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.models import Message
from cities import jobs
from cities.models import City, Country, Export, Import
from cities.tasks import PART, export_cities


class ImportButton(TestCase):
    """The row of an import and its task: both or neither."""

    def setUp(self) -> None:
        self.browser = Client(enforce_csrf_checks=True)

    def press(self, **fields: object) -> int:
        self.browser.get(reverse("index"))
        token = self.browser.cookies["csrftoken"].value
        data = {"people": 15000, "csrfmiddlewaretoken": token, **fields}
        return self.browser.post(reverse("start-import"), data).status_code

    def test_a_form_without_its_token_starts_nothing(self) -> None:
        answer = self.browser.post(reverse("start-import"), {"people": 15000})

        assert answer.status_code == 403
        assert not Import.objects.exists()

    def test_it_makes_a_row_and_its_task(self) -> None:
        assert self.press() == 302

        job = Import.objects.get()
        row = TaskResult.objects.get(task_id=job.task_id)
        assert (row.status, row.task_name) == ("PENDING", "cities.tasks.import_cities")
        assert Message.objects.filter(task_id=job.task_id).exists()

    def test_a_second_import_waits_until_the_first_has_ended(self) -> None:
        self.press()
        self.press()

        assert Import.objects.count() == 1

    def test_an_unknown_data_set_starts_nothing(self) -> None:
        self.press(people=7)

        assert not Import.objects.exists()

    def test_when_it_fails_after_the_publish_there_is_neither_row_nor_task(self) -> None:
        with mock.patch.object(Import, "save", side_effect=[None, OSError]), self.assertRaises(OSError):  # noqa: PT027 - no pytest here
            jobs.start_import(15000)

        assert not Message.objects.exists()
        assert not TaskResult.objects.exists()


class ProgressView(TestCase):
    """What the page's script is told."""

    def progress(self, **query: str) -> dict:
        return self.client.get(reverse("progress"), query).json()

    def import_with(self, *statuses: tuple[str, object]) -> Import:
        ids = [str(uuid4()) for _ in statuses]
        for task_id, (status, result) in zip(ids, statuses, strict=True):
            TaskResult.objects.create(task_id=task_id, status=status, result=json.dumps(result))
        return Import.objects.create(
            people=15000, task_id="a", part_ids=ids, total=PART * 2 + 100, count_id="c"
        )

    def test_nothing_yet(self) -> None:
        answer = self.progress()

        assert (answer["state"], answer["is_running"], answer["is_busy"]) == ("none", False, False)

    def test_an_import_that_no_worker_has_taken_waits(self) -> None:
        jobs.start_import(15000)

        answer = self.progress()

        assert (answer["state"], answer["is_running"], answer["is_busy"]) == ("waiting", True, True)

    def test_the_parts_add_up(self) -> None:
        self.import_with(
            (states.SUCCESS, {"FR": PART}), ("PROGRESS", {"done": 250, "of": PART}), ("PENDING", None)
        )

        answer = self.progress()

        assert (answer["state"], answer["done"], answer["total"]) == ("running", PART + 250, PART * 2 + 100)

    def test_a_part_that_failed_is_told_with_its_reason(self) -> None:
        reason = {"exc_type": "ValueError", "exc_message": ["no such <b>city</b>"], "exc_module": "builtins"}
        self.import_with((states.FAILURE, reason), (states.SUCCESS, {}), (states.SUCCESS, {}))

        answer = self.progress()

        assert (answer["state"], answer["is_running"]) == ("failed", False)
        assert "ValueError: no such &lt;b&gt;city&lt;/b&gt;" in answer["parts"]["status"]

    def test_what_a_task_returns_is_escaped(self) -> None:
        TaskResult.objects.create(task_id="x", task_name="<i>", status="SUCCESS", result='"<script>"')

        history = self.progress()["parts"]["history"]

        assert "<script>" not in history
        assert "<i>" not in history

    def test_every_live_part_has_its_place_in_the_page(self) -> None:
        page = self.client.get(reverse("index")).content.decode()

        for name in self.progress()["parts"]:
            assert f'id="{name}"' in page

    def test_the_page_has_no_inline_script_and_no_inline_style(self) -> None:
        answer = self.client.get(reverse("index"))

        assert answer["Content-Security-Policy"] == "default-src 'self'; frame-ancestors 'none'"
        assert re.search(rb"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", answer.content) is None


class Exports(TestCase):
    """A search, its file and its end."""

    def setUp(self) -> None:
        home = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(override_settings(MEDIA_ROOT=home))
        france = Country.objects.create(code="FR", name="France", cities=2)
        job = Import.objects.create(people=15000)
        for number, name in enumerate(("Orléans", "=cmd|' /C calc'!A0")):
            City.objects.create(
                geoname_id=number, name=name, plain_name=name.casefold().replace("é", "e"), country=france,
                population=1000, latitude=0, longitude=0, timezone="Europe/Paris", imported_by=job,
            )  # fmt: skip

    def test_the_search_finds_a_name_without_its_accents(self) -> None:
        page = self.client.get(reverse("index"), {"text": "orleans"})

        self.assertContains(page, "Orléans")
        self.assertNotContains(page, "calc")

    def test_the_button_starts_an_export_of_the_search(self) -> None:
        self.client.post(reverse("start-export"), {"text": "orl", "country": "FR", "people": ""})

        export = Export.objects.get()
        assert (export.text, export.country_id, export.people) == ("orl", "FR", 0)
        assert TaskResult.objects.get(task_id=export.task_id).status == "PENDING"
        assert self.client.get(reverse("download", args=[export.pk])).status_code == 404

    def test_a_name_like_a_formula_is_written_as_text(self) -> None:
        export = Export.objects.create()

        assert export_cities(str(export.pk)) == 2
        answer = self.client.get(reverse("download", args=[export.pk]))
        lines = b"".join(answer.streaming_content).decode().splitlines()

        assert "attachment" in answer["Content-Disposition"]
        assert [line.split(",")[0] for line in lines] == ["name", "Orléans", "'=cmd|' /C calc'!A0"]

    def test_the_clean_up_deletes_old_files_alone(self) -> None:
        old, new = Export.objects.create(), Export.objects.create()
        for export in (old, new):
            export_cities(str(export.pk))
        Export.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=1))

        assert tasks.delete_old_exports() == 1

        assert [path.stem for path in Path(new.path.parent).iterdir()] == [str(new.pk)]
        assert Export.objects.get() == new
