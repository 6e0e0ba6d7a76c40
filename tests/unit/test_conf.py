"""`CELERIAC = {…}`: each value has a type, and a wrong key is told with the right one."""

import pytest
from django.test import override_settings

from celeriac.conf import Options, options
from celeriac.errors import WrongSetting


def test_without_the_setting_every_option_has_its_default():
    assert options() == Options()


def test_values_are_read_and_forgotten_with_the_settings():
    with override_settings(CELERIAC={"POLL_SECONDS": 2, "DISCOVER_EXCLUDE": ["old/*"], "APP": "proj:app"}):
        inside = options()
    after = options()

    assert (inside.poll_seconds, inside.discover_exclude, inside.app) == (2, ("old/*",), "proj:app")
    assert after == Options()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"POL_SECONDS": 1}, "CELERIAC has no key 'POL_SECONDS'. Did you mean 'POLL_SECONDS'?"),
        ({"poll_seconds": 1}, "CELERIAC has no key 'poll_seconds'. Did you mean 'POLL_SECONDS'?"),
        ({"POLL_SECONDS": "1"}, "CELERIAC['POLL_SECONDS'] must be a number above 0, not '1'."),
        ({"POLL_SECONDS": 0}, "CELERIAC['POLL_SECONDS'] must be a number above 0, not 0."),
        ({"MAX_DELIVERIES": True}, "CELERIAC['MAX_DELIVERIES'] must be a whole number above 0, not True."),
        ({"MAX_DELIVERIES": 2.5}, "CELERIAC['MAX_DELIVERIES'] must be a whole number above 0, not 2.5."),
        ({"DISCOVER": 1}, "CELERIAC['DISCOVER'] must be True or False, not 1."),
        ({"DISCOVER_EXCLUDE": "old"}, "CELERIAC['DISCOVER_EXCLUDE'] must be a list of strings, not 'old'."),
        ({"APP": 1}, "CELERIAC['APP'] must be a string or None, not 1."),
        (["APP"], "CELERIAC must be a dict, not list."),
    ],
)
def test_a_wrong_key_or_value_is_said_in_one_line(given, message):
    with override_settings(CELERIAC=given), pytest.raises(WrongSetting) as raised:
        options()

    assert str(raised.value) == message


def test_a_key_like_no_other_is_answered_with_all_keys():
    with override_settings(CELERIAC={"XYZ": 1}), pytest.raises(WrongSetting, match="The keys are: APP, DISC"):
        options()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_no_wait_can_take_are_refused(value):
    with override_settings(CELERIAC={"POLL_SECONDS": value}), pytest.raises(WrongSetting):
        options()
