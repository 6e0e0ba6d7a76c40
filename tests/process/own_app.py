"""Projects that made a Celery app themselves, in the places where projects keep it."""

from tests.process.project import Project

APP = """
    import os
    from celery import Celery
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
    app = Celery("own")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()
"""

SHOP_TASKS = """
    import sys
    from celery import shared_task

    @shared_task
    def app_name():
        from celery import current_app
        return current_app.main

    @shared_task
    def names_of(path):
        found = list(sys.modules.items())
        return sorted(name for name, module in found if getattr(module, "__file__", None) == path)
"""


def add_app(project: Project, *, module: str = "proj.celery", package: str | None = "proj") -> None:
    """Give the project an app and an installed app with tasks; `package` imports the app."""
    project.write(f"{module.replace('.', '/')}.py", APP)
    if package is not None:
        project.write(f"{package}/__init__.py", f"from {module} import app as celery_app\n")
    project.write("shop/__init__.py", "")
    project.write("shop/tasks.py", SHOP_TASKS)
    project.add_settings('INSTALLED_APPS += ["shop"]')
