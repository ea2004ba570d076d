// An agent's phone in a web page: JsSIP in a real browser, by SIP over WebSocket, in the clear and
// over TLS. The caller comes by plain SIP and RTP.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { request } from "playwright-core";
import { beep, ear, farFragment, launch, watch } from "./browser.mjs";
import { open, until } from "./centre.mjs";
import { Sound } from "./rtp.mjs";
import { Peer } from "./sip.mjs";
import { bundle, serve } from "./site.mjs";

const AGENT_HZ = 700;
const CALLER_HZ = 1150;

test("JsSIP over ws is a phone: sound and keys, hold, ICE restart, and it hangs up", { timeout: 90_000 }, () =>
  talk({ codec: "PCMU", goodbye: (line) => line.agentHangsUp() }));

test("JsSIP over wss that prefers Opus is the same, and is hung up on", { timeout: 90_000 }, async () => {
  const folder = await mkdtemp(`${tmpdir()}/baton-wss-`);
  const tls = selfMade(folder);
  try {
    await talk({ tls, codec: "opus", goodbye: (line) => line.callerHangsUp() });
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** One call from registration to goodbye. */
async function talk({ tls, codec, goodbye }) {
  const folder = await mkdtemp(`${tmpdir()}/baton-jssip-`);
  const microphone = `${folder}/agent.wav`;
  beep(microphone, AGENT_HZ);
  const centre = await open(tls ? { BATON__HTTP__TLS: tls.setting } : {});
  const site = await serve({ "/jssip.js": bundle("jssip", "JsSIP"), "/phone.js": `(${phone})()` });
  const browser = await launch({ microphone, trusted: tls?.trusted });
  const carrier = await Peer.open(centre.sip);
  const sound = await Sound.open(CALLER_HZ);
  try {
    const page = await browser.newPage({ permissions: ["microphone"] });
    const faults = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("console", (line) => line.type() === "error" && faults.push(line.text()));
    await watch(page);
    await page.goto(`http://127.0.0.1:${site.port}/`);
    const [ann] = centre.agents;
    assert.equal(centre.sip_ws.split(":")[0], tls ? "wss" : "ws");
    await page.evaluate((account) => phone.register(account), { url: centre.sip_ws, codec, ...ann.sip });
    await until("the phone is registered", () => page.evaluate(() => phone.beats.includes("registered")));
    await makeReady(centre, ann.id);

    const call = await carrier.call("13800138000", centre.number, sound);
    await until("the caller is welcomed", () => sound.loudness() > 0.005);
    // Typed ahead of the menu: 0 is an agent.
    sound.press("0");
    await until("the phone rings", () => page.evaluate(() => phone.beats.includes("rings")), 20);
    await page.evaluate(() => phone.answer());
    const hearsAgent = () => sound.share(AGENT_HZ) > 0.7;
    const hearsCaller = async () => Math.abs((await ear(page)).hz - CALLER_HZ) < 20;
    const talking = async (when) => {
      sound.forget();
      const [before, heard] = [await ear(page), sound.received];
      await until(`the caller hears the agent ${when}`, hearsAgent);
      await until(`the agent hears the caller ${when}`, hearsCaller);
      await until(`packets go both ways ${when}`, async () => {
        const now = await ear(page);
        return now.sent > before.sent + 25 && now.received > before.received + 25 && sound.received > heard + 25;
      });
    };
    await until("the call is up", () => page.evaluate(() => phone.beats.includes("confirmed")));
    await talking("at first");
    const quality = await ear(page);
    assert.match(quality.codec, new RegExp(`^audio/${codec}$`, "i"));
    assert.equal(quality.lost, 0);

    await page.evaluate(() => phone.press("1590#"));
    await until("the keys came", () => sound.keys.length >= 5);
    await talking("after the keys");
    assert.equal(sound.keys, "1590#", "one key is one key");

    await page.evaluate(() => phone.hold());
    await until("a held caller hears music", () => (sound.forget(), waiting(60).then(() => sound.share(AGENT_HZ) < 0.3 && sound.loudness() > 0.005)));
    await page.evaluate(() => phone.resume());
    await talking("after the hold");

    const path = await farFragment(page);
    await page.evaluate(() => phone.restartIce());
    await until("the path is another", async () => (await farFragment(page)) !== path);
    await talking("after the ICE restart");
    assert.equal(await page.evaluate(() => peers.length), 1, "on the same connection");

    await goodbye({
      agentHangsUp: async () => {
        await page.evaluate(() => phone.hangUp());
        const bye = await carrier.next("BYE");
        carrier.answer(bye);
        // The browser closes its path before its BYE comes: that is no lost call.
        assert.match(bye, /^Reason: Q\.850;cause=16/im);
      },
      callerHangsUp: () => carrier.hangUp(call),
    });
    await until("the phone has hung up", () => page.evaluate(() => phone.beats.includes("ended")));
    assert.deepEqual(faults, []);
    await page.evaluate(() => phone.unregister());
    await until("the phone is gone", () => page.evaluate(() => phone.beats.includes("unregistered")));
  } finally {
    sound.close();
    carrier.close();
    await browser.close();
    site.close();
    await centre.close();
    await rm(folder, { recursive: true });
  }
}

/** Runs in the page: a phone, and what happened to it in order. */
function phone() {
  let ua;
  let session;
  const beats = [];
  const settled = (begin) =>
    new Promise((done, failed) => begin(done) || failed(new Error("not now")));
  window.phone = {
    beats,
    register({ url, user, password, codec }) {
      ua = new JsSIP.UA({
        sockets: [new JsSIP.WebSocketInterface(url)],
        uri: `sip:${user}@${new URL(url).hostname}`,
        password,
      });
      ua.on("registered", () => beats.push("registered"));
      ua.on("unregistered", () => beats.push("unregistered"));
      ua.on("registrationFailed", ({ cause }) => beats.push(`registration failed: ${cause}`));
      ua.on("newRTCSession", (event) => {
        session = event.session;
        session.on("confirmed", () => beats.push("confirmed"));
        session.on("ended", () => beats.push("ended"));
        session.on("failed", ({ cause }) => beats.push(`failed: ${cause}`));
        session.on("sdp", (event) => (event.sdp = event.originator === "remote" ? prefer(codec, event.sdp) : event.sdp));
        beats.push("rings");
      });
      ua.start();
    },
    answer: () => session.answer({ mediaConstraints: { audio: true, video: false } }),
    press: (keys) => session.sendDTMF(keys, { transportType: "RFC2833", duration: 100, interToneGap: 70 }),
    hold: () => settled((done) => session.hold({}, done)),
    resume: () => settled((done) => session.unhold({}, done)),
    restartIce: () => settled((done) => session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, done)),
    hangUp: () => session.terminate(),
    unregister: () => ua.stop(),
  };

  /** The same description with another codec first: a browser takes the first it knows. */
  function prefer(codec, sdp) {
    const number = sdp.match(new RegExp(`^a=rtpmap:(\\d+) ${codec}/`, "im"))?.[1];
    const first = (_, line, numbers) => [line, number, ...numbers.split(" ").filter((other) => other !== number)].join(" ");
    return number ? sdp.replace(/^(m=audio \S+ \S+) (.*)$/m, (all, line, numbers) => first(all, line, numbers.trim())) : sdp;
  }
}

/** A certificate that nobody signed, as `[http] tls`, and what a browser needs to believe it. */
function selfMade(folder) {
  const [key, certificate] = [`${folder}/key.pem`, `${folder}/certificate.pem`];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const quiet = { stdio: "ignore" };
  execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", certificate, ...subject], quiet);
  const der = execFileSync("openssl", ["pkey", "-in", key, "-pubout", "-outform", "DER"]);
  const trusted = createHash("sha256").update(der).digest("base64");
  return { setting: `{ certificate = ${JSON.stringify(certificate)}, key = ${JSON.stringify(key)} }`, trusted };
}

/** By a supervisor's hand: no desktop is needed here. */
async function makeReady({ http, api_key }, agent) {
  const api = await request.newContext({ ignoreHTTPSErrors: true, extraHTTPHeaders: { authorization: `Bearer ${api_key}` } });
  const answer = await api.put(`${http}/v1/agents/${agent}/state`, { data: { state: "ready" } });
  assert.ok(answer.ok(), `${answer.status()} ${await answer.text()}`);
  await api.dispose();
}

function waiting(ms) {
  return new Promise((over) => setTimeout(over, ms));
}
