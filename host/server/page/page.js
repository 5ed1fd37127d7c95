// page.js — what the page's parts do.
import { getJson, hasKey, onKeyWanted, request, setKey } from "./api.js";
import { Player } from "./player.js";
import { RATE, speak } from "./speak.js";
import { Spectrogram } from "./spectrogram.js";
import { startNewVoice } from "./new_voice.js";
import { wavBlob } from "./wav.js";

const $ = (id) => document.getElementById(id);
const show = (id, text) => { $(id).textContent = text; };
const seconds = (s) => `${s.toFixed(s < 10 ? 2 : 1)} s`;

// ---- the key

onKeyWanted((wrong) => new Promise((done) => {
  const dialog = $("key-dialog");
  show("key-title", wrong ? "This key was refused" : "This server wants a key");
  $("key").value = "";
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    const given = dialog.returnValue === "ok" ? $("key").value.trim() : null;
    $("key").value = "";
    done(given || null);
    setTimeout(showKey);
  }, { once: true });
  dialog.showModal();
}));
$("key-cancel").addEventListener("click", () => $("key-dialog").close());
const showKey = () => { $("forget-key").hidden = !hasKey(); };
$("forget-key").addEventListener("click", () => {
  setKey("");
  showKey();
  $("text").focus();
});

// ---- voices

let voices = [], once = null; // once: a recording that is sent with every request, { url, text }

const GROUPS = { uploaded: "Uploaded", folder: "From the server's folder", shipped: "Shipped" };

function showVoices(chosen) {
  const select = $("voice"), usual = new Option("default", "");
  select.replaceChildren(usual);
  if (once) select.append(new Option("the new recording, not kept", "\n"));
  for (const [kind, title] of Object.entries(GROUPS)) {
    const some = voices.filter((v) => (v.kind || "shipped") === kind);
    if (!some.length) continue;
    const group = document.createElement("optgroup");
    group.label = title;
    group.append(...some.map((v) => new Option(v.name || v.id, v.id)));
    select.append(group);
  }
  select.value = chosen ?? "";
  if (select.selectedIndex < 0) select.value = "";
  showDelete();
}

async function loadVoices(chosen = $("voice").value) {
  try {
    ({ voices } = await getJson("v1/audio/voices"));
    showVoices(chosen);
  } catch (error) {
    problem(error.message);
  }
}

const chosenVoice = () => voices.find((v) => v.id === $("voice").value);
const showDelete = () => { $("delete-voice").hidden = chosenVoice()?.kind !== "uploaded"; };
$("voice").addEventListener("change", showDelete);
$("delete-voice").addEventListener("click", async () => {
  const { id } = chosenVoice();
  if (!confirm(`Delete the voice ${id} from the server?`)) return;
  try {
    await request(`v1/audio/voices/${encodeURIComponent(id)}`, { method: "DELETE" });
    show("state", `The voice ${id} is deleted.`);
    problem("");
  } catch (error) {
    problem(error.message);
  }
  await loadVoices("");
  $("voice").focus();
});

$("add-voice").addEventListener("click", () => openNewVoice($("new-voice").hidden));
function openNewVoice(open) {
  const opens = open && $("new-voice").hidden;
  $("new-voice").hidden = !open;
  $("add-voice").setAttribute("aria-expanded", String(open));
  if (opens) {
    $("new-voice").scrollIntoView({ block: "nearest", behavior: "smooth" });
    $("new-text").focus({ preventScroll: true });
  }
}
startNewVoice({
  async kept(id, advice) {
    await loadVoices(id);
    show("state", `The voice ${id} is kept.`);
    openNewVoice(advice.length > 0); // what it says of the recording is shown there
    $("voice").focus();
  },
  useOnce(recording) {
    once = recording;
    showVoices("\n");
    show("state", "The new recording speaks now.");
    openNewVoice(false);
    $("voice").focus();
  },
});

// ---- the sound

const picture = new Spectrogram($("picture"), RATE);
const player = new Player(RATE, showPlaying);
let address = ""; // of the file to download

function showPlaying() {
  $("play").textContent = player.playing ? "Pause" : "Play";
  if (player.playing) requestAnimationFrame(showPosition);
  else showPosition();
}

function showPosition() {
  const at = player.position;
  if (document.activeElement !== $("position") || player.playing) $("position").value = at;
  show("time", `${at.toFixed(1)} / ${player.seconds.toFixed(1)} s`);
  picture.draw(player.seconds ? at : -1);
  if (player.playing) requestAnimationFrame(showPosition);
}

$("play").addEventListener("click", async () => {
  await player.wake();
  if (player.playing) player.stop();
  else player.play();
});
$("position").addEventListener("input", () => {
  const at = Number($("position").value), was = player.playing;
  player.stop();
  player.at = at;
  if (was) player.play(at);
  else showPosition();
});

function clearSound() {
  player.clear();
  picture.clear();
  if (address) URL.revokeObjectURL(address);
  address = "";
  $("download").hidden = true;
  $("play").disabled = $("position").disabled = true;
  $("position").max = 0;
  for (const id of ["first-sound", "whole", "seconds", "rtf"]) show(id, "–");
  $("picture").setAttribute("aria-label", "Spectrogram: nothing yet");
  showPlaying();
}

function addSound(samples, came) {
  if (player.length === 0) show("first-sound", seconds(came));
  player.add(samples);
  show("seconds", seconds(player.seconds));
  picture.add(samples);
  $("empty").hidden = true;
  $("position").max = player.seconds;
  $("play").disabled = $("position").disabled = false;
  if (!player.playing && player.length === samples.length) player.play(0);
}

function offerFile() {
  address = URL.createObjectURL(wavBlob(player.pieces, RATE));
  $("download").href = address;
  $("download").download = "speech.wav";
  $("download").hidden = false;
  $("picture").setAttribute("aria-label", `Spectrogram of ${player.seconds.toFixed(1)} seconds of speech`);
}

// ---- a request

let running = null; // its AbortController

const problem = (text) => {
  show("problem", text);
  $("problem").hidden = !text;
};

function orderOf() {
  const order = { input: $("text").value, speed: Number($("speed").value) };
  const voice = $("voice").value;
  if (voice === "\n") Object.assign(order, { ref_audio: once.url, ref_text: once.text });
  else if (voice) order.voice = voice;
  if ($("steps").value) order.nfe_step = Number($("steps").value);
  if ($("method").value) order.method = $("method").value;
  if ($("seed").value) order.seed = Number($("seed").value);
  return order;
}

function setRunning(controller) {
  running = controller;
  $("go").disabled = running !== null;
  $("cancel").hidden = running === null;
}

async function run() {
  if (running) return;
  const text = $("text").value;
  if (!text.trim()) {
    problem("There is no text to speak.");
    $("text").focus();
    return;
  }
  const had = document.activeElement === $("go");
  problem("");
  clearSound();
  player.wake(); // not awaited: without a device for sound it never comes, and the speech is wanted all the same
  setRunning(new AbortController());
  if (had) $("cancel").focus();
  show("state", "Speaking…");
  try {
    const times = await speak(orderOf(), addSound, running.signal);
    show("whole", seconds(times.whole));
    show("rtf", (times.whole / times.seconds).toFixed(3));
    show("state", `Done: ${times.seconds.toFixed(1)} seconds of speech.`);
  } catch (error) {
    const cancelled = error.name === "AbortError";
    show("state", cancelled ? "Cancelled." : "");
    if (cancelled) player.stop();
    else problem(error.message);
  }
  const focused = document.activeElement === $("cancel") || document.activeElement === document.body;
  player.finish();
  picture.finish();
  setRunning(null);
  showKey();
  if (player.length) offerFile();
  if (focused) $("go").focus();
}

$("speak").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
$("cancel").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target === $("text")) {
    event.preventDefault();
    $("speak").requestSubmit();
  } else if (event.key === "Escape" && running && !$("key-dialog").open) {
    running.abort();
  }
});
$("speed").addEventListener("input", () => show("speed-shown", Number($("speed").value).toFixed(2).replace(/0$/, "")));

// ---- the beginning

showKey();
loadVoices("");
getJson("v1/models").then(({ data }) => show("server", data?.[0]?.id ?? "")).catch(() => {});
