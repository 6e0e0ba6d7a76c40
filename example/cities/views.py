"""The page, the progress it asks for, and what its buttons do."""

from celery import states
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django_celery_results.models import TaskResult

from cities import jobs
from cities import progress as import_progress
from cities.forms import ImportForm, SearchForm
from cities.models import Export
from cities.overview import overview

#: The parts of the page that are kept up to date: a template each, in an element with that id.
LIVE_PARTS = ("status", "countries", "attempts", "country", "found", "exports", "history")


@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The whole page; without JavaScript, a reload shows what is new."""
    response = render(
        request, "cities/index.html", {**overview(request.GET), "import_form": ImportForm(auto_id=False)}
    )
    response["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'"
    return response


@never_cache
@require_GET
def progress(request: HttpRequest) -> JsonResponse:
    """How far the import is, and the live parts of the page as they are now."""
    context = overview(request.GET)
    current = context["progress"]
    return JsonResponse(
        {
            "state": current.state if current else "none",
            "done": current.done if current else 0,
            "total": current.job.total if current else None,
            "is_running": bool(current and current.is_running),
            "is_busy": _is_busy(),
            "parts": {
                name: render_to_string(f"cities/parts/{name}.html", context, request) for name in LIVE_PARTS
            },
        }
    )


@require_POST
def start_import(request: HttpRequest) -> HttpResponse:
    """Start an import, unless one is running."""
    form = ImportForm(request.POST)
    current = import_progress.latest()
    if form.is_valid() and not (current and current.is_running):
        jobs.start_import(form.cleaned_data["people"])
    return redirect("index")


@require_POST
def ask_shaky_server(_request: HttpRequest) -> HttpResponse:
    """Start the task that fails twice."""
    jobs.ask_shaky_server()
    return redirect("index")


@require_POST
def start_export(request: HttpRequest) -> HttpResponse:
    """Start an export of the search that the form holds."""
    form = SearchForm(request.POST)
    if form.is_valid():
        jobs.start_export(**form.criteria())
    return redirect("index")


@require_GET
def download(_request: HttpRequest, pk: str) -> FileResponse:
    """The file of an export, once it is written."""
    export = get_object_or_404(Export, pk=pk)
    try:
        file = export.path.open("rb")
    except FileNotFoundError:
        raise Http404("This export is not ready, or was deleted.") from None
    return FileResponse(
        file, as_attachment=True, filename="cities.csv", content_type="text/csv; charset=utf-8"
    )


def _is_busy() -> bool:
    return TaskResult.objects.exclude(status__in=states.READY_STATES).exists()
