#!/usr/bin/env python3
"""try_page.py — the page of `f5tts serve` in headless Chromium: type, hear, download, upload, record, with and without a
key, by mouse and by keyboard, at 360 and 1400 pixels, light and dark, and held against axe's rules.

    apt-get install chromium chromium-driver; python3 -m venv --system-site-packages V
    V/bin/pip install selenium axe-playwright-python     # the latter for axe.min.js
    V/bin/python tests/server/try_page.py [--shots FOLDER] [--axe axe.min.js]

Prints a line a check; exits 1 on the first that fails. The microphone is a file: the shipped voice slt.
"""
import argparse
import base64
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from voice_server import SLT_WORDS, VOICES, VoiceServer

WIDTHS = (360, 1400)
SERVE = ("--nfe_step", "4")  # what is said matters less here than how soon


def axe_script(given):
    if given:
        return Path(given).read_text()
    import axe_playwright_python
    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


class Page:
    """A browser at the page, with words for what a person does."""

    def __init__(self, driver, options):
        self.driver, self.options, self.axe, self.shot_number = driver, options, None, 0

    def open(self, server, width=1400, dark=False):
        self.size(width, dark)
        self.driver.get(f"http://127.0.0.1:{server.port}/")
        self.wait(lambda: len(self["voice"].find_elements(By.TAG_NAME, "option")) > 1, "voices are listed")

    def size(self, width, dark):
        self.width = width
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                     mobile=width < 600)
        self.command("Emulation.setEmulatedMedia",
                     features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def __getitem__(self, id):
        return self.driver.find_element(By.ID, id)

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def wait(self, condition, what, seconds=60):
        try:
            return WebDriverWait(self.driver, seconds, 0.05).until(lambda _: condition())
        except Exception as error:
            self.shot("failed")
            raise AssertionError(f"{what}: {error}; state {self['state'].text!r}, problem {self['problem'].text!r}") from error

    def text(self, id, value):
        self[id].clear()
        self[id].send_keys(value)

    def speak(self, how="click"):
        if how == "click":
            self["go"].click()
        else:
            self["text"].send_keys(Keys.CONTROL, Keys.ENTER)
        self.wait(lambda: self["state"].text.startswith("Done") or self["problem"].is_displayed(), "it is spoken", 120)
        assert not self["problem"].is_displayed(), self["problem"].text
        return self.sound()

    def sound(self):
        """The bytes of the file that the page offers."""
        self.wait(lambda: self["download"].is_displayed(), "a download")
        with tempfile.TemporaryDirectory(prefix="f5_page_") as folder:
            self.command("Page.setDownloadBehavior", behavior="allow", downloadPath=folder)
            self["download"].click()
            path = Path(folder) / "speech.wav"
            self.wait(path.is_file, "the file is there")
            sound = path.read_bytes()
        assert sound[:4] == b"RIFF" and int.from_bytes(sound[40:44], "little") == len(sound) - 44
        return sound

    def drawn(self):
        """How many colours the spectrogram has."""
        return self.script("""const c = document.getElementById("picture");
            const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, s = new Set();
            for (let i = 0; i < d.length; i += 4) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size;""")

    def quiet(self):
        """Nothing in the browser's log, and nothing wider than the window."""
        said = [line["message"] for line in self.driver.get_log("browser") if "401" not in line["message"]]
        assert not said, said
        wide = self.script("return document.documentElement.scrollWidth")
        assert wide <= self.width, f"{wide} pixels wide in a window of {self.width}"

    def rules(self, where):
        """axe's rules, all of them that are no mere advice."""
        self.axe = self.axe or axe_script(self.options.axe)
        self.command("Runtime.evaluate", expression=self.axe)
        found = self.driver.execute_async_script("const done = arguments[0]; axe.run().then(done);")
        wrong = [f"{v['impact']}: {v['id']}: {n['html'][:120]}" for v in found["violations"] for n in v["nodes"]]
        assert not wrong, f"{where}: {wrong}"
        return len(found["passes"])

    def shot(self, name):
        if not self.options.shots:
            return
        folder = Path(self.options.shots)
        folder.mkdir(parents=True, exist_ok=True)
        height = self.script("return document.documentElement.scrollHeight")
        self.command("Emulation.setDeviceMetricsOverride", width=self.width, height=height, deviceScaleFactor=1,
                     mobile=self.width < 600)
        time.sleep(0.2)
        image = self.command("Page.captureScreenshot")["data"]
        (folder / f"{self.shot_number:02}-{name}.png").write_bytes(base64.b64decode(image))
        self.shot_number += 1
        self.command("Emulation.setDeviceMetricsOverride", width=self.width, height=900, deviceScaleFactor=1,
                     mobile=self.width < 600)


@contextlib.contextmanager
def browser(options):
    chrome = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--use-fake-device-for-media-stream",
                 "--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={VOICES / 'slt.wav'}"):
        chrome.add_argument(word)
    chrome.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=chrome, service=Service("/usr/bin/chromedriver"))
    try:
        driver.set_script_timeout(60)
        yield Page(driver, options)
    finally:
        driver.quit()


# ---- what is tried

def type_and_hear(page, server):
    for width in WIDTHS:
        for dark in (False, True):
            page.open(server, width, dark)
            page.rules(f"at first, {width}")
            page.shot(f"{width}-{'dark' if dark else 'light'}-first")
            page.text("text", "The light of the evening fell on the river.")
            page["seed"].send_keys("7")
            sound = page.speak("keys" if dark else "click")
            assert page.drawn() > 100, f"the spectrogram has {page.drawn()} colours"
            for id in ("first-sound", "whole", "seconds", "rtf"):
                assert page[id].text[0].isdigit(), f"{id}: {page[id].text}"
            page.rules(f"after speech, {width}")
            page.shot(f"{width}-{'dark' if dark else 'light'}-spoken")
            page.quiet()
    same = page.speak()
    assert same == sound, "the same seed gave other sound"
    page.text("seed", "8")
    assert page.speak() != sound, "another seed gave the same sound"
    page.wait(lambda: page["play"].text == "Play", "it ends by itself")
    page["play"].click()
    page.wait(lambda: page["play"].text == "Pause", "it plays again")
    page["play"].click()
    page["position"].send_keys(Keys.HOME)
    assert page["time"].text.startswith("0.0 /"), page["time"].text
    page.quiet()


def cancel(page, server):
    page.open(server)
    page.text("text", "The children are playing in the garden. " * 30)
    page["go"].click()
    page.wait(lambda: page["cancel"].is_displayed(), "there is a button to cancel")
    page.wait(lambda: not page["play"].get_property("disabled"), "first sound")
    page.shot("1400-light-speaking")
    page["cancel"].click()
    page.wait(lambda: page["state"].text == "Cancelled.", "it is cancelled")
    assert page["go"].is_enabled() and len(page.sound()) > 44
    page["text"].send_keys(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: page["cancel"].is_displayed(), "it runs again")
    page["text"].send_keys(Keys.ESCAPE)
    page.wait(lambda: page["state"].text == "Cancelled.", "Escape cancels")
    page.text("text", "  ")
    page["go"].click()
    assert page["problem"].text and page["problem"].get_attribute("role") == "alert"
    page.quiet()


def upload(page, server):
    page.open(server, 360)
    page["add-voice"].click()
    page["file"].send_keys(str(VOICES / "rms.wav"))
    page.text("new-text", (VOICES / "rms.txt").read_text().strip())
    page["keep"].click()
    assert "name" in page["new-problem"].text.lower()
    page.shot("360-light-no-name")
    page["new-name"].send_keys("Maria")
    page["keep"].click()
    page.wait(lambda: page["state"].text == "The voice Maria is kept.", "the voice is kept")
    assert Select(page["voice"]).first_selected_option.text == "Maria" and "Maria" in server.names()
    page.text("text", "This is another voice.")
    page.speak()
    page["add-voice"].click()
    page["file"].send_keys(str(VOICES / "rms.txt"))
    page["new-name"].send_keys("noise")
    page["keep"].click()
    page.wait(lambda: page["new-problem"].is_displayed(), "a text is no sound")
    page.rules("with a complaint")
    page.shot("360-light-no-sound")
    page["delete-voice"].click()
    page.driver.switch_to.alert.accept()
    page.wait(lambda: page["state"].text == "The voice Maria is deleted.", "the voice is deleted")
    assert "Maria" not in server.names()
    said = [line["message"] for line in page.driver.get_log("browser")]
    assert all("400" in line for line in said), said


def record(page, server):
    page.open(server, 1400, True)
    page["add-voice"].click()
    page["record"].click()
    page.wait(lambda: page["record"].text == "Stop", "it records")
    time.sleep(3.6)
    page.shot("1400-dark-recording")
    page["record"].click()
    page.wait(lambda: "recorded" in page["record-state"].text, "it was recorded")
    page.text("new-text", SLT_WORDS)
    page.rules("with a recording")
    page.shot("1400-dark-recorded")
    page["use-once"].click()
    page.wait(lambda: "speaks now" in page["state"].text, "it is used")
    page.text("text", "Nobody has recorded this.")
    page.speak()
    page["add-voice"].click()
    page["new-name"].send_keys("me")
    page["keep"].click()
    page.wait(lambda: "me" in server.names(), "the recording is kept")
    page.quiet()


def by_keyboard(page, server):
    page.open(server)
    reached = []
    for _ in range(14):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        element = page.driver.switch_to.active_element
        reached.append(element.get_attribute("id"))
        ring = page.script("return getComputedStyle(arguments[0]).outlineStyle", element)
        assert ring != "none" or element.tag_name == "body", f"{reached[-1]}: no ring of focus"
    for id in ("text", "voice", "add-voice", "speed", "steps", "method", "seed", "go"):
        assert id in reached, f"{id} is not reached: {reached}"


def with_a_key(page, server):
    page.open(server, 360)
    page["text"].send_keys(" ")
    page["go"].click()
    page.wait(lambda: page["key-dialog"].is_displayed(), "a key is asked for")
    page.rules("at the key's dialog")
    page.shot("360-light-key")
    page["key-cancel"].click()
    page.wait(lambda: page["problem"].is_displayed(), "without a key it says so")
    page["go"].click()
    page.wait(lambda: page["key-dialog"].is_displayed(), "a key is asked for again")
    page["key"].send_keys("wrong", Keys.ENTER)
    page.wait(lambda: "refused" in page["key-title"].text, "a wrong key is refused")
    page["key"].send_keys("secret-key", Keys.ENTER)
    page.wait(lambda: page["state"].text.startswith("Done"), "with the key it speaks", 120)
    page.driver.refresh()
    page.wait(lambda: page["forget-key"].is_displayed(), "the key is kept in this tab")
    page.speak()
    page["forget-key"].click()
    page["go"].click()
    page.wait(lambda: page["key-dialog"].is_displayed(), "a forgotten key is asked for")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", help="a folder for screenshots")
    parser.add_argument("--axe", help="axe.min.js; default: that of axe-playwright-python")
    parser.add_argument("--only", help="the name of one function above")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="f5_page_") as folder, browser(options) as page:
        keys = Path(folder) / "keys"
        keys.write_text("secret-key\n")
        keys.chmod(0o600)
        with (VoiceServer(Path(folder) / "open", *SERVE) as server,
              VoiceServer(Path(folder) / "locked", *SERVE, "--api_keys", keys) as locked):
            for check, where in ((type_and_hear, server), (cancel, server), (upload, server), (record, server),
                                 (by_keyboard, server), (with_a_key, locked)):
                if options.only not in (None, check.__name__):
                    continue
                began = time.monotonic()
                try:
                    check(page, where)
                except AssertionError as error:
                    sys.exit(f"{check.__name__}: FAILED: {error}\n{where.log[-2000:]}")
                print(f"{check.__name__}: passed, {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
