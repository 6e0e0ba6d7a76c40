"""What the page's forms accept."""

from typing import Any

from django import forms

from cities.geonames import DATA_SETS
from cities.models import Country


class ImportForm(forms.Form):
    """Which of the data sets to import."""

    people = forms.TypedChoiceField(label="Import", choices=list(DATA_SETS.items()), coerce=int)


class SearchForm(forms.Form):
    """Which cities to show and to export; empty fields ask for nothing."""

    text = forms.CharField(
        label="Name contains", required=False, max_length=100, widget=forms.TextInput({"type": "search"})
    )
    country = forms.ModelChoiceField(
        Country.objects.filter(cities__gt=0), required=False, empty_label="all countries"
    )
    people = forms.IntegerField(label="People, at least", required=False, min_value=0, max_value=100_000_000)

    def criteria(self) -> dict[str, Any]:
        """The arguments of `search.matches` and `jobs.start_export`; the form must be valid."""
        country = self.cleaned_data["country"]
        return {
            "text": self.cleaned_data["text"],
            "country": country.pk if country else None,
            "people": self.cleaned_data["people"] or 0,
        }
