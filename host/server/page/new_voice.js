// new_voice.js — a voice from the microphone or a file: heard, named, kept on the server or used as it is.
import { request } from "./api.js";
import { LONGEST, Recorder } from "./recorder.js";
import { dataUrl } from "./wav.js";

const MOST_BYTES = 16 << 20;

const $ = (id) => document.getElementById(id);
const problem = (text) => {
  $("new-problem").textContent = text;
  $("new-problem").hidden = !text;
};

let sample = null; // { blob, name } of what was recorded or chosen
let address = "";

function setSample(blob, name, said) {
  sample = blob && { blob, name };
  if (address) URL.revokeObjectURL(address);
  address = blob ? URL.createObjectURL(blob) : "";
  $("preview").hidden = !blob;
  if (blob) $("preview").src = address;
  else $("preview").removeAttribute("src");
  $("record-state").textContent = said;
  $("keep").disabled = $("use-once").disabled = !blob;
  $("advice").hidden = true;
  problem("");
}

function showLevel(level) {
  const canvas = $("level"), context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = level > 0.97 ? "#d6453a" : "#1fa086";
  context.fillRect(0, 0, canvas.width * level, canvas.height);
}

const recorder = new Recorder({
  level: showLevel,
  seconds: (s) => {
    const said = `Recording: ${Math.floor(s)} of at most ${LONGEST} s`;
    if ($("record-state").textContent !== said) $("record-state").textContent = said;
  },
});

async function record() {
  if (recorder.running) return recorder.stop();
  setSample(null, "", "");
  $("record").textContent = "Stop";
  $("record").classList.add("on");
  $("level").hidden = false;
  try {
    const { blob, seconds } = await recorder.record();
    setSample(blob, "recording.wav", `${seconds.toFixed(1)} s recorded.`);
  } catch (error) {
    const refused = error.name === "NotAllowedError";
    problem(refused ? "The microphone is not allowed for this page." : error.message || "Nothing could be recorded.");
    $("record-state").textContent = "";
  }
  $("record").textContent = "Record";
  $("record").classList.remove("on");
  $("level").hidden = true;
}

function choose() {
  const file = $("file").files[0];
  $("file").value = ""; // so that the same one may be chosen again
  if (!file) return;
  if (file.size > MOST_BYTES) {
    setSample(null, "", "");
    problem(`${file.name} is larger than ${MOST_BYTES >> 20} MB.`);
    return;
  }
  setSample(file, file.name, file.name);
}

/** What it says, or null after a complaint. */
function words() {
  const text = $("new-text").value.trim();
  if (text) return text;
  problem("Write what the recording says.");
  $("new-text").focus();
  return null;
}

async function keep(kept) {
  const text = words(), name = $("new-name");
  if (!text) return;
  if (!name.value.trim() || !name.checkValidity()) {
    problem("A name of letters, digits and . _ - is wanted, as maria or maria-2.");
    name.focus();
    return;
  }
  problem("");
  $("keep").disabled = true;
  const form = new FormData();
  form.append("name", name.value.trim());
  form.append("ref_text", text);
  form.append("audio_sample", sample.blob, sample.name);
  try {
    const reply = await (await request("v1/audio/voices", { method: "POST", body: form })).json();
    const advice = reply.warnings ?? [];
    name.value = "";
    setSample(null, "", "");
    $("advice").replaceChildren(...advice.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    $("advice").hidden = !advice.length;
    kept(reply.id, advice);
  } catch (error) {
    problem(error.message);
    $("keep").disabled = false;
  }
}

/** kept(id, advice): the server has it; useOnce({ url, text }): to be sent with requests. */
export function startNewVoice({ kept, useOnce }) {
  $("record").addEventListener("click", record);
  $("file").addEventListener("change", choose);
  $("keep").addEventListener("click", () => keep(kept));
  $("use-once").addEventListener("click", async () => {
    const text = words();
    if (text) useOnce({ url: await dataUrl(sample.blob), text });
  });
}
