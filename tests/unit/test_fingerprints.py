"""Which failures are alike."""

from celeriac.results.fingerprints import fingerprint

TRACEBACK = """Traceback (most recent call last):
  File "/srv/proj/shop/tasks.py", line 10, in charge
    client.pay(order)
  File "/srv/venv/lib/python3.13/site-packages/client/api.py", line 9, in pay
    raise Declined(order)
client.Declined: order 1
"""


def alike(traceback="", message="", exception="client.Declined", name="shop.charge"):
    return fingerprint(name, exception, message, traceback)


def test_lines_and_values_make_no_difference():
    moved = TRACEBACK.replace("line 10", "line 99").replace("order 1", "order 2")

    assert alike(moved, "order 2") == alike(TRACEBACK, "order 1")


def test_the_projects_own_function_counts_and_not_the_librarys():
    first = alike(TRACEBACK)

    assert alike(TRACEBACK.replace("in pay", "in pay_again")) == first
    assert alike(TRACEBACK.replace("/srv/proj", "/home/me/proj")) == first
    assert alike(TRACEBACK.replace("in charge", "in refund")) != first


def test_task_and_class_count():
    first = alike(TRACEBACK)

    assert alike(TRACEBACK, name="shop.other") != first
    assert alike(TRACEBACK, exception="client.Closed") != first


def test_the_error_that_was_raised_last_counts():
    handling = "\nDuring handling of the above exception, another exception occurred:\n\n"
    other = TRACEBACK.replace("in charge", "in tell")

    assert alike(TRACEBACK + handling + other) == alike(other)


def test_without_a_traceback_the_message_counts_without_its_values():
    first = alike(message="Worker exited prematurely: signal 9 (SIGKILL) Job: 17.")

    assert alike(message="Worker exited prematurely: signal 9 (SIGKILL) Job: 3.") == first
    assert alike(message="no user 'bob' 7f3a9c0e-1111") == alike(message="no user 'eve' 0e7f3a9c-2222")
    assert alike(message="Something else.") != first
