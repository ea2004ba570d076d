// An agent whose phone is the page, and a caller at the other end of it.
//
//   node softphone.mjs HTTP_URL SIP_ADDRESS NUMBER AGENT PASSWORD [DIRECTORY FOR SCREENSHOTS]
//
// Two calls on one standing leg, with keys, hold, a page that is loaded again and ICE restarts. The
// centre has two media threads, and the leg moves from one to the other.
// Each beat is a line of JSON on standard output; exit code 0 if all held.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { launch } from "./browser.mjs";
import { Sound } from "./rtp.mjs";
import { Peer } from "./sip.mjs";

const [url, sip, number, agent, password, shots] = process.argv.slice(2);
if (!password) {
  console.error("usage: node softphone.mjs HTTP_URL SIP_ADDRESS NUMBER AGENT PASSWORD [DIRECTORY FOR SCREENSHOTS]");
  process.exit(2);
}
const AGENT_HZ = 700;
const CALLER_HZ = 1150;

const began = performance.now();
const tell = (beat, more = {}) => console.log(JSON.stringify({ at: Math.round(performance.now() - began), beat, ...more }));

/** Looks again and again until it is so; gives what was seen, and after how many milliseconds. */
async function until(what, look, seconds = 10) {
  const start = performance.now();
  for (;;) {
    const seen = await look();
    const after = Math.round(performance.now() - start);
    if (seen) return { seen, after };
    if (after > seconds * 1000) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((again) => setTimeout(again, 20));
  }
}

const folder = await mkdtemp(`${tmpdir()}/baton-softphone-`);
const microphone = `${folder}/agent.wav`;
// Beeps, for a steady tone is noise to a browser's noise suppression.
const beep = ["synth", "0.3", "sine", `${AGENT_HZ}`, "gain", "-6", "pad", "0", "0.2", "repeat", "9"];
execFileSync("sox", ["-n", "-r", "48000", "-c", "1", "-b", "16", microphone, ...beep]);

const browser = await launch({ microphone });
const carrier = await Peer.open(sip);
const sounds = [];
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", permissions: ["microphone"] });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (line) => ["error", "warning"].includes(line.type()) && faults.push(line.text()));
  const said = [];
  const pushed = [];
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => said.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => pushed.push(JSON.parse(payload)));
  });
  await page.addInitScript(() => {
    window.peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...args) {
        super(...args);
        window.peers.push(this);
      }
    };
  });
  /** Of the page's connection: packets either way, and the loudest frequency that comes. */
  const ear = () =>
    page.evaluate(async () => {
      const peer = window.peers.at(-1);
      const stats = [...(await peer.getStats()).values()];
      const one = (type) => stats.find((stat) => stat.type === type) ?? {};
      if (window.listened !== peer) {
        window.listened = peer;
        window.context ??= new AudioContext({ sampleRate: 16_000 });
        window.analyser = new AnalyserNode(window.context, { fftSize: 2048, smoothingTimeConstant: 0 });
        window.context.createMediaStreamSource(new MediaStream([peer.getReceivers()[0].track])).connect(window.analyser);
      }
      const bins = new Float32Array(window.analyser.frequencyBinCount);
      window.analyser.getFloatFrequencyData(bins);
      const loudest = bins.indexOf(Math.max(...bins));
      return {
        sent: one("outbound-rtp").packetsSent ?? 0,
        received: one("inbound-rtp").packetsReceived ?? 0,
        energy: one("inbound-rtp").totalAudioEnergy ?? 0,
        codec: stats.find((stat) => stat.id === one("inbound-rtp").codecId)?.mimeType,
        hz: bins[loudest] > -60 ? (loudest * 16_000) / 2048 : 0,
      };
    });
  const hearsCaller = async () => Math.abs((await ear()).hz - CALLER_HZ) < 20;
  const stageIs = (stage) => page.locator(`#contact[data-stage=${stage}]`).waitFor({ timeout: 20_000 });
  const lineIsUp = () => page.locator("#phone[data-line=line_up]").waitFor({ timeout: 10_000 });
  const ring = async () => {
    const sound = await Sound.open(CALLER_HZ);
    sounds.push(sound);
    const call = await carrier.call("13800138000", number, sound);
    await until("the caller is welcomed", () => sound.loudness() > 0.005);
    // Typed ahead of the menu: 0 is an agent.
    sound.press("0");
    return { call, sound };
  };
  const hearsAgent = (sound) => () => sound.share(AGENT_HZ) > 0.7;
  const hearsMusic = (sound) => () => sound.share(AGENT_HZ) < 0.3 && sound.loudness() > 0.005;

  await page.goto(url);
  await page.fill("#agent", agent);
  await page.fill("#password", password);
  await page.click("#login-button");
  await lineIsUp();
  await page.click("#ready:enabled");
  await page.locator("#dot[data-state=ready]").waitFor();
  tell("the line is up");

  const { call, sound } = await ring();
  await stageIs("offered");
  const offer = pushed.find((message) => message.type === "offer");
  assert.deepEqual(offer.path.filter((stop) => stop.input).map((stop) => stop.input), ["0"], "one key is one key");
  await until("`displayed` is said", () => said.some((message) => message.type === "displayed" && message.contact === offer.contact));
  await page.click("#answer");
  const talking = performance.now();
  await stageIs("talking");
  await until("the caller hears the agent", hearsAgent(sound));
  await until("the agent hears the caller", hearsCaller);
  tell("they talk", { after: Math.round(performance.now() - talking) });
  const first = await ear();
  const heard = sound.received;
  await until("packets go both ways", async () => {
    const now = await ear();
    return now.sent > first.sent + 50 && now.received > first.received + 50 && now.energy > first.energy && sound.received > heard + 50;
  });
  assert.equal(first.codec, "audio/opus");

  await page.click("#mute");
  sound.forget();
  await until("a muted agent is not heard", () => sound.share(AGENT_HZ) === 0 && said.some((message) => message.type === "mute"));
  await page.click("#mute");
  await until("the agent is heard again", hearsAgent(sound));

  await page.click("#keypad");
  for (const key of "42#") await page.click(`#pad button:text-is("${key}")`);
  await until("the keypad's keys came", () => sound.keys.length >= 3);
  await page.evaluate(() => window.peers.at(-1).getSenders()[0].dtmf.insertDTMF("57", 100, 70));
  await until("the browser's keys came", () => sound.keys.length >= 5);
  assert.equal(sound.keys, "42#57");
  if (shots) await page.screenshot({ path: `${shots}/softphone.png` });
  tell("keys came, each once", { keys: sound.keys });

  await page.click("#hold");
  await stageIs("held");
  await until("a held caller hears music", hearsMusic(sound));
  await page.click("#resume");
  await stageIs("talking");
  await until("the caller hears the agent again", hearsAgent(sound));
  tell("held and resumed");

  const reloading = performance.now();
  const loaded = page.reload();
  const { after: away } = await until("the caller hears music while the page is away", () => (sound.forget(), new Promise((look) => setTimeout(() => look(hearsMusic(sound)()), 60))));
  await until("the caller hears the agent after the page came back", hearsAgent(sound), 3);
  const back = Math.round(performance.now() - reloading);
  await loaded;
  assert.ok(back < 3000, `back after ${back} ms`);
  await stageIs("talking");
  await lineIsUp();
  await until("the agent hears the caller", hearsCaller);
  assert.equal(pushed.findLast((message) => message.type === "snapshot").pop.contact, offer.contact);
  tell("the page was loaded again", { music: away, back });

  const ufrag = () => page.evaluate(() => window.peers.at(-1).remoteDescription.sdp.match(/ice-ufrag:(\S+)/)[1]);
  const before = await ufrag();
  // What a browser says when its network changed.
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await until("the path is another", async () => (await ufrag()) !== before);
  await lineIsUp();
  const restarted = await ear();
  sound.forget();
  await until("the caller hears the agent after the restart", hearsAgent(sound));
  await until("packets come after the restart", async () => (await ear()).received > restarted.received + 50);
  await until("the agent hears the caller after the restart", hearsCaller);
  assert.equal(await page.evaluate(() => window.peers.length), 1, "on the same connection");
  await until("the agent may be ready again", () => page.locator("#dot[data-state=talking]").isVisible());
  tell("ICE was restarted");

  await page.click("#release");
  await carrier.answer(await carrier.next("BYE"));
  await stageIs("wrap_up");
  await page.selectOption("#code", "solved");
  await page.click("#file");
  await page.locator("#dot[data-state=ready]").waitFor();
  tell("hung up and filed");

  // The media threads have calls in turn: with one in the menu of the first thread, where the page's
  // leg is, the next caller is on the other.
  const other = await carrier.call("13900139000", number);
  const offers = said.filter((message) => message.type === "sdp").length;
  const second = await ring();
  await stageIs("offered");
  await page.keyboard.press("a");
  await stageIs("talking");
  await until("the second caller hears the agent", hearsAgent(second.sound));
  await until("the agent hears the second caller", hearsCaller);
  assert.equal(said.filter((message) => message.type === "sdp").length, offers, "the leg stands from call to call");
  const crossed = await ufrag();
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await until("the path is another on the other thread as well", async () => (await ufrag()) !== crossed);
  await lineIsUp();
  second.sound.forget();
  await until("the second caller hears the agent after the restart", hearsAgent(second.sound));
  await until("the agent hears the second caller after the restart", hearsCaller);
  await carrier.hangUp(second.call);
  await stageIs("wrap_up");
  await carrier.hangUp(other);
  tell("a second call on the same leg, on the other media thread");

  assert.deepEqual(faults, []);
  await page.click("#logout");
  await page.locator("#login").waitFor();
  tell("logged out");
} finally {
  sounds.forEach((sound) => sound.close());
  carrier.close();
  await browser.close();
  await rm(folder, { recursive: true });
}
