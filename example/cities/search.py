"""The search that the page shows and an export writes."""

from django.db.models import QuerySet

from cities.geonames import plain
from cities.models import City

COLUMNS = ("name", "country__name", "population", "latitude", "longitude", "timezone")


def matches(text: str, country: str | None, people: int) -> QuerySet[City]:
    """The cities whose name contains the text, of a country or of all, the largest first."""
    found = City.objects.select_related("country").order_by("-population", "geoname_id")
    if text:
        found = found.filter(plain_name__contains=plain(text.strip()))
    if country:
        found = found.filter(country_id=country)
    if people:
        found = found.filter(population__gte=people)
    return found
