"""Each file has one module name: the one that the project's own imports give it."""

from pathlib import Path

from tests.unit.test_discovery_project import Project, project

__all__ = ["project"]

APPS_ON_PATH = "sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'apps'))"


def test_installed_app_gives_its_own_name(tmp_path: Path) -> None:
    project = Project(tmp_path / "site", before=APPS_ON_PATH)
    project.apps = ["shop"]
    project.write("apps/shop/__init__.py")
    project.task("apps/shop/tasks.py")
    project.task("apps/shop/reports/tasks.py")

    files = project.scan()

    assert files["apps/shop/tasks.py"][0] == "shop.tasks"
    assert files["apps/shop/reports/tasks.py"][0] == "shop.reports.tasks"


def test_neighbor_of_an_installed_app_is_named_like_it(tmp_path: Path) -> None:
    project = Project(tmp_path / "site", before=APPS_ON_PATH)
    project.apps = ["shop"]
    project.write("apps/__init__.py")
    project.write("apps/shop/__init__.py")
    project.task("apps/billing/tasks.py")

    assert project.scan()["apps/billing/tasks.py"][0] == "billing.tasks"


def test_deepest_entry_of_sys_path_wins(tmp_path: Path) -> None:
    project = Project(tmp_path / "site", before=APPS_ON_PATH)
    project.task("apps/billing/tasks.py")
    project.task("core/tasks.py")

    files = project.scan()

    assert files["apps/billing/tasks.py"][0] == "billing.tasks"
    assert files["core/tasks.py"][0] == "core.tasks"


def test_package_on_sys_path_is_no_base_unless_apps_use_it(tmp_path: Path) -> None:
    """cookiecutter-django: the package is on sys.path, and its code still imports from above it."""
    project = Project(tmp_path / "site", before=APPS_ON_PATH.replace("apps", "proj"))
    project.apps = ["proj.users"]
    project.write("proj/users/__init__.py")
    project.task("proj/users/tasks.py")
    project.task("proj/jobs/tasks.py")

    files = project.scan()

    assert files["proj/users/tasks.py"][0] == "proj.users.tasks"
    assert files["proj/jobs/tasks.py"][0] == "proj.jobs.tasks"


def test_name_that_is_loaded_already_is_kept(tmp_path: Path) -> None:
    project = Project(tmp_path / "site", before=APPS_ON_PATH)
    project.task("apps/billing/tasks.py")

    found = project.discover("import apps.billing.tasks")

    assert found["loaded"] == ["apps.billing.tasks"]
    assert project.marked() == {"apps.billing.tasks"}


def test_file_loaded_under_another_name_is_not_loaded_again_for_its_app(tmp_path: Path) -> None:
    project = Project(tmp_path / "site", before=APPS_ON_PATH)
    project.apps = ["shop"]
    project.write("apps/shop/__init__.py")
    project.task("apps/shop/tasks.py")

    found = project.discover("import apps.shop.tasks")

    assert found["files"]["apps/shop/tasks.py"][0] == "apps.shop.tasks"
    assert project.marked() == {"apps.shop.tasks"}


def test_directory_that_is_no_identifier_may_hold_a_base(tmp_path: Path) -> None:
    project = Project(tmp_path / "site", before=APPS_ON_PATH.replace("'apps'", "'my-apps'"))
    project.task("my-apps/shop/tasks.py")

    assert project.scan()["my-apps/shop/tasks.py"][0] == "shop.tasks"


def test_module_of_the_same_name_shadows_a_directory(project: Project) -> None:
    project.write("billing.py")
    project.write("billing/__init__.py")
    project.task("billing/tasks.py")
    project.write("shop.py")
    project.task("shop/tasks.py")

    files = project.scan()

    assert files["billing/tasks.py"][0] == "billing.tasks"
    assert files["shop/tasks.py"][0] is None
    assert "shadowed: import shop loads" in str(files["shop/tasks.py"][1])


def test_package_of_tasks_shadows_a_file_beside_it(project: Project) -> None:
    project.task("billing/tasks.py")
    project.task("billing/tasks/__init__.py")

    files = project.scan()

    assert files["billing/tasks/__init__.py"][0] == "billing.tasks"
    assert "shadowed: import billing.tasks loads" in str(files["billing/tasks.py"][1])


def test_other_module_named_tasks_shadows_the_roots_own(project: Project, tmp_path: Path) -> None:
    project.task("tasks.py")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/tasks.py").touch()

    found = project.discover(f"sys.path.insert(0, {str(tmp_path / 'elsewhere')!r}); import tasks")

    assert found["files"]["tasks.py"][0] is None
    assert project.marked() == set()


def test_project_that_is_not_on_sys_path_is_told_so(project: Project) -> None:
    project.task("billing/tasks.py")

    files = project.scan("sys.path = [p for p in sys.path if os.path.realpath(p) != os.getcwd()]")

    assert "no entry of sys.path" in str(files["billing/tasks.py"][1])


def test_installed_app_outside_the_project_is_found_as_celery_finds_it(
    project: Project, tmp_path: Path
) -> None:
    outside = tmp_path / "lib/site-packages"
    for name in ("thing/__init__.py", "thing/deep/tasks.py", "boxed/__init__.py"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).touch()
    (outside / "thing/tasks.py").write_text(project.task("tasks.py").read_text())
    (outside / "boxed/tasks").mkdir()
    (outside / "boxed/tasks/__init__.py").touch()
    project.before = f"sys.path.append({str(outside)!r})"
    project.apps = ["thing", "boxed"]

    found = project.discover()

    assert found["loaded"] == ["boxed.tasks", "tasks", "thing.tasks"]


def test_installed_app_is_imported_whatever_its_directory_is_called(project: Project) -> None:
    project.apps = ["tests.shop", "build"]
    for name in ("tests/__init__.py", "tests/shop/__init__.py", "build/__init__.py"):
        project.write(name)
    project.task("tests/shop/tasks.py")
    project.write("build/tasks.py", "x = 1")

    found = project.discover()

    assert found["loaded"] == ["build.tasks", "tests.shop.tasks"]


def test_installed_app_that_everyone_may_write_is_left_out(project: Project) -> None:
    project.apps = ["shop"]
    project.write("shop/__init__.py")
    project.task("shop/tasks.py")
    (project.root / "shop").chmod(0o777)

    found = project.discover()

    assert "shop/ is writable by everyone" in found["files"]["shop/tasks.py"][1]
    assert project.marked() == set()


def test_project_reached_through_a_link_is_named_from_its_real_place(tmp_path: Path) -> None:
    project = Project(tmp_path / "releases/42")
    project.task("billing/tasks.py")
    current = tmp_path / "current"
    current.symlink_to(project.root)
    project.more = f"BASE_DIR = Path({str(current)!r})"

    assert project.scan("sys.path[0] = os.fspath('../../current')")["billing/tasks.py"][0] == "billing.tasks"
