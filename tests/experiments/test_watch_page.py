"""The page of `p3o watch` in a real browser: it draws, a key takes over, hands off gives back, it pauses, no errors."""

import contextlib
import threading

import pytest

pytest.importorskip("starlette")
api = pytest.importorskip("playwright.sync_api")

from experiments import folder, saved  # noqa: E402
from experiments.watching import server  # noqa: E402
from experiments.watching.game import compile_player  # noqa: E402
from experiments.watching.players import learned_player, simple_player  # noqa: E402

SMALL = {"num_envs": 8, "segment_length": 8, "horizon": 16, "num_minibatches": 1, "total_steps": 256.0}
PIXELS = "() => document.getElementById('game').toDataURL()"


@contextlib.contextmanager
def serving(player, policy, speed=30):
    """Serve a player's page and yield its address."""
    listening = server.listen(0)
    running = server.make(server.Page(compile_player(player, 0), policy, 0, speed))
    thread = threading.Thread(target=running.run, args=([listening],))
    thread.start()
    try:
        yield f"http://{server.HOST}:{listening.getsockname()[1]}"
    finally:
        running.should_exit = running.force_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """A folder with an agent of pong before its first update."""
    place = tmp_path_factory.mktemp("agents") / "pong"
    saved.save(place, folder.new({"env": "pong", "seed": 0, "key": ""} | SMALL))
    return place


@contextlib.contextmanager
def opened(browser, url, **options):
    """Open a page that must report no error until it is closed."""
    page = browser.new_page(**options)
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    page.wait_for_function("() => last !== null && last.step > 2")
    yield page
    page.close()
    assert errors == []


def steps_of(page):
    return page.evaluate("() => last.step")


def test_a_key_takes_over_and_hands_off_gives_back(browser, agent):
    with serving(learned_player(agent), "agent") as url, opened(browser, url) as page:
        who = page.locator("#who")
        api.expect(who).to_have_text("the agent plays")
        before = page.evaluate(PIXELS)
        page.keyboard.down("ArrowUp")
        api.expect(who).to_have_text("you play")
        page.wait_for_timeout(1300)
        assert who.text_content() == "you play"  # as long as the key is down
        page.keyboard.up("ArrowUp")
        assert who.text_content() == "you play"
        api.expect(who).to_have_text("the agent plays", timeout=3000)
        assert page.evaluate(PIXELS) != before
        shown = page.evaluate("() => [last.mean.length, about.std.length, about.weights.length]")
        assert shown == [5, 5, 5]
        api.expect(page.locator("#means-title")).to_have_text("Predicted reward, by band")
        coloured = "id => new Set(document.getElementById(id).getContext('2d').getImageData(0, 0, 400, 170).data).size"
        assert all(page.evaluate(coloured, chart) > 3 for chart in ("means", "weights"))


def test_pause_step_speed_and_restart(browser):
    with serving(simple_player("pong", {}, True), "scripted") as url, opened(browser, url) as page:
        page.get_by_role("button", name="Pause").click()
        page.wait_for_timeout(300)
        stands = steps_of(page)
        page.wait_for_timeout(300)
        assert steps_of(page) == stands
        page.get_by_role("button", name="Step").click()
        page.wait_for_function(f"() => last.step === {stands + 1}")
        page.get_by_role("button", name="Restart").click()
        page.wait_for_function("() => last.step === 0")
        page.get_by_role("button", name="Go on").click()
        page.get_by_label("Speed").focus()
        page.keyboard.press("End")
        page.wait_for_timeout(300)
        begun = steps_of(page)
        page.wait_for_timeout(1000)
        assert 35 <= steps_of(page) - begun <= 70  # 60 a second are asked for, of a busy machine
        api.expect(page.locator("#means-text")).to_contain_text("A trained agent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_its_buttons_play(browser, scheme):
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    with serving(simple_player("connect4", {}, True), "scripted", 10) as url, opened(browser, url, **options) as page:
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
        page.get_by_role("button", name="column 4").tap()
        api.expect(page.locator("#who")).to_have_text("you play")
        waits = steps_of(page)
        page.wait_for_timeout(1000)
        assert steps_of(page) == waits  # for the person's next move


def test_a_button_is_played_by_the_keyboard(browser):
    with serving(simple_player("breakout", {}, False), "random") as url, opened(browser, url) as page:
        page.get_by_role("button", name="left").focus()
        page.keyboard.down("Enter")
        api.expect(page.locator("#who")).to_have_text("you play")
        page.keyboard.up("Enter")
        api.expect(page.locator("#who")).to_have_text("the random player plays", timeout=3000)
