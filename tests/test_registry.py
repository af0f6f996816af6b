"""Doors by name: taken once, taken again by the same thing, and a broken plugin is told, never raised."""

import logging
from importlib.metadata import EntryPoint

import pytest

from mechdyn import registry
from mechdyn.errors import InputError
from mechdyn.registry import Registry, load_plugins, make, parse_spec


@pytest.fixture
def things():
    return Registry("thing", "mechdyn.text")


def thing():
    return 1


def test_a_thing_comes_back_by_its_name(things):
    assert things.register("one", thing) is thing and things.get("one") is thing
    assert (things.names(), things.named(thing), things.named(print)) == (("one",), "one", None)


def test_the_same_thing_may_come_again(things):
    things.register("one", thing)
    assert things.register("one", thing) is thing


def test_a_cell_that_is_run_twice_takes_its_own_place(things):
    cell = "def mine():\n    return {}\n"
    for value in (1, 2):
        names = {"__name__": "__main__"}
        exec(cell.format(value), names)
        things.register("mine", names["mine"])
    assert things.get("mine")() == 2


def test_two_lambdas_of_one_line_and_other_code_are_two_things(things):
    things.register("short", lambda: 1)
    with pytest.raises(InputError, match=r"give .* another name"):
        things.register("short", lambda first, second: first + second)


def test_a_taken_name_is_an_error_that_names_both(things):
    class Other:
        pass

    things.register("one", thing)
    with pytest.raises(
        InputError, match=r"the thing 'one' is tests\.test_registry\.thing already; give tests\.test_registry\..*Other another"
    ):
        things.register("one", Other)
    assert things.get("one") is thing


@pytest.mark.parametrize("name", ["", "two words", "a:b", "a,b", "a=b", "a/b"])
def test_a_name_that_cannot_be_typed_is_refused(things, name):
    with pytest.raises(InputError, match="has letters, digits"):
        things.register(name, thing)


def test_an_unknown_name_lists_what_there_is(things):
    things.register("one", thing)
    with pytest.raises(InputError, match=r"unknown thing 'two'; give one of one$"):
        things.get("two")


@pytest.fixture
def plugins(monkeypatch):
    """Give the installed packages' entry points; what they register is forgotten with the registry that they register in."""

    def install(**values):
        points = [EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        load_plugins.cache_clear()

    yield install
    monkeypatch.undo()
    load_plugins.cache_clear()


def test_a_broken_plugin_is_named_and_the_rest_goes_on(things, plugins, monkeypatch, tmp_path, caplog):
    (tmp_path / "whole_plugin.py").write_text("import tests.test_registry as here\nhere.FROM_PLUGIN.register('theirs', here.thing)\n")
    (tmp_path / "broken_plugin.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("tests.test_registry.FROM_PLUGIN", things, raising=False)
    plugins(broken="broken_plugin", absent="no_such_module_anywhere", whole="whole_plugin")
    with caplog.at_level(logging.WARNING):
        assert things.names() == ("theirs",)
    told = "the plugin broken (broken_plugin) cannot be imported: ZeroDivisionError: division by zero"
    assert caplog.messages[0] == told and "the plugin absent (no_such_module_anywhere) cannot be imported" in caplog.messages[1]
    assert len(caplog.messages) == 2
    with pytest.raises(InputError) as caught:
        things.get("mine")
    assert str(caught.value).startswith("unknown thing 'mine'; give one of theirs; ") and told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dynamic", ("dynamic", {})),
        ("dynamic:n=2", ("dynamic", {"n": 2})),
        ("a:x=0.5, y=true,z=word", ("a", {"x": 0.5, "y": True, "z": "word"})),
        ('a:x="1"', ("a", {"x": "1"})),
    ],
)
def test_options_are_read_as_json_where_they_can_be(text, found):
    assert parse_spec(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [("a:x", "name:option=value"), (":x=1", "a name is needed"), ("a:=1", "name:option=value"), ("", "a name is needed")],
)
def test_what_is_no_name_with_options_is_one_line(text, message):
    with pytest.raises(InputError, match=message):
        parse_spec(text)


def test_options_that_a_thing_does_not_take_are_one_line():
    with pytest.raises(InputError, match=r"thing 'one' does not take the options \{'x': 1\}"):
        make("thing", "one", thing, {"x": 1})
