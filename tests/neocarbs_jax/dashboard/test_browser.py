"""The dashboard in a real browser: it grows with the study, filters, shows a trial, copies, fits a phone, no errors."""

import contextlib
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("dash")
api = pytest.importorskip("playwright.sync_api")

PATIENCE = 60_000  # milliseconds, of a busy machine
DRAWN = "count => document.querySelectorAll('#figures .scatterlayer path.point').length >= count"
WRITER = """
import sys
from neocarbs_jax import Choice, Log, SearchSpace, Study
study = Study.load(sys.argv[1], name="grow", compilation_cache=False)
for number in range(4, 9):
    study.add({**study.trials[0].values, "lr": 0.5}, 100.0 + number, 2.0 + number)
"""
"""A sweep in another process: five trials."""

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def opened(browser, url, **options):
    """Open a page that must report no error, and ask nobody else, until it is closed."""
    context = browser.new_context(**options)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    own, errors = url.partition("/?")[0], []

    def hear(message):
        if message.type in ("error", "warning") and "GL Driver Message" not in message.text:
            errors.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"a script ran: {dialog.message}"))
    page.on(
        "request", lambda asked: None if asked.url.startswith((own, "data:", "blob:")) else errors.append(asked.url)
    )
    page.goto(url)
    page.wait_for_function(DRAWN, arg=2)
    api.expect(page.locator("#count")).to_be_visible(timeout=PATIENCE)
    yield page
    context.close()
    assert errors == []


def shown(page):
    return page.locator("#count").text_content()


def wait_for_count(page, text):
    api.expect(page.locator("#count")).to_have_text(text, timeout=PATIENCE)


def show(page, view):
    page.locator("#view label").filter(has_text=view).click()


def test_it_grows_while_another_process_adds_trials(browser, growing, serving, tmp_path):
    with serving(str(tmp_path / "grow.db"), fits=True) as url, opened(browser, url) as page:
        wait_for_count(page, "4 trials")
        subprocess.run([sys.executable, "-c", WRITER, str(tmp_path / "grow.db")], check=True)
        wait_for_count(page, "9 trials")
        page.wait_for_function(DRAWN, arg=9)
        api.expect(page.locator("#status")).to_contain_text("9 trials: 9 completed", timeout=PATIENCE)
        api.expect(page.locator("#status")).to_contain_text("front is that of 9 completed", timeout=PATIENCE)
        api.expect(page.locator("#figures .legendtext").first).to_have_text("expected of fresh runs, 90% interval")


def test_a_filter_counts_for_figures_table_and_address(browser, database, serving, evil):
    with serving(str(database)) as url, opened(browser, url) as page:
        wait_for_count(page, "12 trials")
        page.get_by_label("score, at least").fill("50")
        wait_for_count(page, "6 of 12 trials")
        page.wait_for_function("() => document.querySelectorAll('#figures path.point').length < 25")
        page.get_by_label("cost, at most").fill("10")
        wait_for_count(page, "4 of 12 trials")
        page.get_by_label("sgd").uncheck()
        wait_for_count(page, "2 of 12 trials")
        assert "score=50.." in page.url
        assert "cost=..10" in page.url
        numbers = page.locator("#table tbody button").all_text_contents()
        assert numbers == ["8", "6"]
        for view in ("Hyperparameters", "Over time", "Predictions", "Progress", "All settings", "Curves", "Importance"):
            show(page, view)
            page.wait_for_function("() => document.querySelector('#figures .js-plotly-plot .main-svg')")
        show(page, "Hyperparameters")
        page.wait_for_function("() => document.querySelectorAll('#figures .js-plotly-plot').length === 3")
        page.wait_for_function("() => document.querySelectorAll('#figures .js-plotly-plot')[0].data[0].x.length === 2")
        address = page.url
        page.goto("about:blank")
        page.goto(address)
        wait_for_count(page, "2 of 12 trials")
        assert page.locator("#view label", has_text="Hyperparameters").locator("input").is_checked()
        page.get_by_role("button", name="Clear all").click()
        wait_for_count(page, "12 trials")


def test_a_click_shows_a_trial_and_copies_it_and_pins_compare(browser, database, serving, evil):
    with serving(str(database)) as url, opened(browser, url) as page:
        dots = page.locator("#figures .js-plotly-plot").first.locator("path.point")
        place = dots.nth(3).bounding_box()
        page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        heading = page.locator("#trial h2")
        api.expect(heading).to_be_visible(timeout=PATIENCE)
        number = int(heading.text_content().removeprefix("Trial "))
        text = page.locator("#trial").inner_text()
        assert evil in text
        assert "learning curves by cost" in text.lower()
        page.wait_for_function("() => document.querySelector('#figures .textpoint text')")
        assert page.locator("#figures .textpoint text").first.text_content() == str(number)
        for form, start in (("JSON", '{"lr": '), ("Command line", "--lr "), ("Python", "{'lr': "), ("TOML", "lr = ")):
            page.locator("#form label").filter(has_text=form).click()
            page.wait_for_function("s => document.getElementById('text').textContent.startsWith(s)", arg=start)
            page.get_by_role("button", name="Copy").click()
            api.expect(page.locator("#copied")).to_have_text("Copied.")
            assert page.evaluate("() => navigator.clipboard.readText()").startswith(start)
        page.get_by_role("button", name="Pin to compare").click()
        page.locator("#table tbody button").first.click()
        api.expect(heading).to_have_text("Trial 11")
        page.get_by_role("button", name="Pin to compare").click()
        api.expect(page.locator("#pinned th[scope=col]")).to_have_count(3)
        assert page.locator("#pinned tr.differs").count() >= 1
        page.get_by_role("button", name="Unpin trial 11").click()
        api.expect(page.locator("#pinned th[scope=col]")).to_have_count(2)
        page.get_by_role("button", name="Close").click()
        api.expect(page.locator("#trial")).to_be_hidden()


def test_another_study_is_chosen_and_two_are_compared(browser, database, serving):
    with serving(str(database)) as url, opened(browser, f"{url}/?study=first") as page:
        wait_for_count(page, "3 trials")
        show(page, "Two studies")
        page.locator("#other").click()
        page.locator(".dash-dropdown-option").click()
        page.wait_for_function("() => document.querySelectorAll('#figures .js-plotly-plot .legendtext').length >= 2")
        page.locator("#study").click()
        page.locator(".dash-dropdown-option").filter(has_text="7*7").click()
        wait_for_count(page, "12 trials")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_themes(browser, database, serving, scheme):
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    with serving(str(database)) as url, opened(browser, url, **options) as page:
        assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
        for view in ("Front", "Hyperparameters", "All settings"):
            show(page, view)
            page.wait_for_timeout(500)
            assert page.evaluate("() => document.documentElement.scrollWidth") == 390
        page.locator("#table tbody button").first.tap()
        api.expect(page.locator("#trial h2")).to_have_text("Trial 11")
        page.get_by_role("button", name="Close").tap()
        page.locator("#theme-button").tap()
        other = "dark" if scheme == "light" else "light"
        page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=other)


def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(browser, database, serving):
    with serving(str(database)) as url, opened(browser, url) as page:
        reached = []
        for _ in range(90):
            page.keyboard.press("Tab")
            label, width = page.evaluate("""() => {
              const it = document.activeElement, seen = it.closest(".tabs") ? it.closest("label") : it;
              const name = it.labels?.[0]?.textContent || it.getAttribute("aria-label") || it.id || it.textContent;
              return [name, getComputedStyle(seen).outlineStyle === "none" ? 0 : 1];
            }""")
            reached.append((label, width))
            if label == "Trial 11":
                break
        names = [label for label, _ in reached]
        assert names[0] == "Skip to the figures"
        parts = ("Study", "theme-button", "score, at least", "lr, at most", "Front", "Trial 11")
        order = [next(i for i, name in enumerate(names) if part in name) for part in parts]
        assert order == sorted(order)
        assert [label for label, width in reached if not width] == []
        page.keyboard.press("Enter")
        api.expect(page.locator("#trial h2")).to_have_text("Trial 11")


def test_optunas_own_dashboard_opens_the_same_storage(growing, tmp_path):
    pytest.importorskip("optuna_dashboard")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    study, _ = growing
    study.close()
    command = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()"]
    options = [f"sqlite:///{tmp_path}/grow.db", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert _studies(port) == ["grow"]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def _studies(port):
    """Names of the studies that Optuna's dashboard lists, once it listens."""
    import http.client
    import json

    end = time.monotonic() + 60
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/api/studies")
            listed = json.loads(connection.getresponse().read())
            connection.close()
            return [study["study_name"] for study in listed["study_summaries"]]
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.2)
