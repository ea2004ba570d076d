// Click-to-call: a page of somebody else's origin calls with a hand-off's token, in a real browser.
// The agent has a desktop in the browser and a phone that speaks plain SIP and RTP.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { beep, ear, farFragment, launch, watch } from "./browser.mjs";
import { open, until } from "./centre.mjs";
import { Sound } from "./rtp.mjs";
import { Peer } from "./sip.mjs";
import { serve } from "./site.mjs";

const CALLER_HZ = 700;
const AGENT_HZ = 1150;

test("a page calls with a token: breakpoint first, sound and keys, a reload and another network", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(`${tmpdir()}/baton-call-`);
  const microphone = `${folder}/caller.wav`;
  beep(microphone, CALLER_HZ);
  const centre = await open();
  const site = await serve({ "/call.js": `(${caller})()` });
  const browser = await launch({ microphone });
  const phone = await Peer.open(centre.sip);
  const sound = await Sound.open(AGENT_HZ);
  try {
    const [ann] = centre.agents;
    await phone.register(ann.sip);
    const { pushed, said } = await logIn(browser, centre.http, ann);
    const pushedOf = (type) => pushed.filter((message) => message.type === type);

    // The app's own server: its customer stopped at a step, and wants to talk.
    const customer = { phone: "+8613800138000", account: "C-1001", verified: ["phone", "account"] };
    const posted = await ask(centre, "/v1/steps", {
      id: "s1", journey: "payment-1", topic: "card-payment", channel: "app", customer,
      step: "confirm-payment", ordinal: 3, total: 3, status: "failed", reason: "insufficient-funds",
    });
    assert.equal(posted.status, 200);
    const handoff = await ask(centre, "/v1/handoffs", { customer, journey: "payment-1" });
    assert.equal(handoff.status, 201);
    const { token } = await handoff.json();

    // The customer's page: not of our origin.
    const page = await browser.newPage({ permissions: ["microphone"] });
    const faults = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await watch(page);
    await page.goto(`http://localhost:${site.port}/`);
    assert.equal(await page.evaluate(([http, token]) => line.call(http, token), [centre.http, token]), 201);
    await until("the caller is welcomed", async () => (await ear(page)).energy > 0);
    assert.equal((await ear(page)).codec, "audio/opus");
    // Typed ahead: 2 leaves the errand for the menu, 0 there is an agent.
    await page.evaluate(() => line.press("20"));

    const invite = await phone.next("INVITE");
    await until("the desk shows it", () => said.some((message) => message.type === "displayed"));
    const [offer] = pushedOf("offer");
    assert.equal(offer.caller.confidence, "token");
    assert.equal(offer.breakpoint.journey, "payment-1");
    assert.deepEqual([offer.breakpoint.step, offer.breakpoint.reason], ["confirm-payment", "insufficient-funds"]);
    assert.deepEqual(offer.path.map((stop) => stop.input).filter(Boolean), ["2", "0"], "one key is one key");
    phone.pickUp(invite, sound);

    const hearsAgent = async () => Math.abs((await ear(page)).hz - AGENT_HZ) < 20;
    const hearsCaller = () => sound.share(CALLER_HZ) > 0.7;
    const talking = async (when, seconds) => {
      sound.forget();
      await until(`the agent hears the caller ${when}`, hearsCaller, seconds);
      await until(`the caller hears the agent ${when}`, hearsAgent, seconds);
      const [before, heard] = [await ear(page), sound.received];
      await until(`packets go both ways ${when}`, async () => {
        const now = await ear(page);
        return now.sent > before.sent + 25 && now.received > before.received + 25 && sound.received > heard + 25;
      });
    };
    await talking("at first");
    assert.equal((await ear(page)).lost, 0);
    await page.evaluate(() => line.press("37#"));
    await until("the agent's phone got the keys", () => sound.keys.length >= 3);
    await talking("after the keys");
    assert.equal(sound.keys, "37#", "one key is one key");

    // Loaded again in the middle of the call: by the secret it is the same call.
    const reloading = performance.now();
    await page.reload();
    assert.equal(await page.evaluate(() => line.renew()), 200);
    sound.forget();
    await until("the agent hears the caller after the reload", hearsCaller, 3);
    await until("the caller hears the agent after the reload", hearsAgent, 3);
    const away = Math.round(performance.now() - reloading);
    assert.ok(away < 3000, `away for ${away} ms`);
    await talking("after the reload");

    const path = await farFragment(page);
    assert.equal(await page.evaluate(() => line.restartIce()), 200);
    assert.notEqual(await farFragment(page), path);
    await talking("on another path");
    assert.equal(await page.evaluate(() => peers.length), 1, "on the same connection");

    const calls = await (await ask(centre, "/v1/calls")).json();
    assert.deepEqual(JSON.stringify(calls).match(/c_[0-9a-z]{26}/g), [offer.contact], "the same contact");
    assert.deepEqual([pushedOf("offer").length, pushedOf("connected").length, pushedOf("released").length], [1, 1, 0]);

    assert.equal(await page.evaluate(([http, token]) => line.call(http, token), [centre.http, token]), 401, "a token is good once");
    assert.equal(await page.evaluate(() => line.hangUp("not the secret")), 401);
    assert.equal(await page.evaluate(() => line.hangUp()), 204);
    phone.answer(await phone.next("BYE"));
    await until("the page sees the end", () => page.evaluate(() => ["failed", "closed"].includes(peers.at(-1).connectionState)));
    await until("the desk knows", () => pushedOf("released").length === 1);
    assert.deepEqual([pushedOf("released")[0].by, pushedOf("released")[0].contact], ["caller", offer.contact]);
    const record = await (await ask(centre, `/v1/contacts/${offer.contact}`)).json();
    const [hop] = record.hops;
    assert.ok(hop.offered_at <= hop.rung_at, "the desk was told before the phone rang");
    assert.deepEqual([record.context_before_answer, record.confidence], ["displayed", "token"]);
    assert.deepEqual(faults, []);
  } finally {
    sound.close();
    phone.close();
    await browser.close();
    site.close();
    await centre.close();
    await rm(folder, { recursive: true });
  }
});

/** What the app's own server asks. */
function ask({ http, api_key }, path, body) {
  const headers = { authorization: `Bearer ${api_key}`, "content-type": "application/json" };
  const how = body ? { method: "POST", body: JSON.stringify(body) } : {};
  return fetch(http + path, { headers, ...how });
}

/** An agent at the desktop, ready; what the desktop is told and says. */
async function logIn(browser, http, { id, password }) {
  const desk = await browser.newPage();
  const [pushed, said] = [[], []];
  desk.on("websocket", (socket) => {
    socket.on("framereceived", ({ payload }) => pushed.push(JSON.parse(payload)));
    socket.on("framesent", ({ payload }) => said.push(JSON.parse(payload)));
  });
  await desk.goto(http);
  await desk.fill("#agent", id);
  await desk.fill("#password", password);
  await desk.click("#login-button");
  await desk.click("#ready:enabled");
  await desk.locator("#dot[data-state=ready]").waitFor();
  return { pushed, said };
}

/** Runs in the customer's page. What it must know after a reload it keeps where pages do. */
function caller() {
  let peer;
  const kept = () => JSON.parse(sessionStorage.call);
  const ask = (url, method, bearer, body) =>
    fetch(url, {
      method,
      headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
  /** An offer with the candidates found so far: the far end has the only one that counts. */
  const offered = async (how) => {
    await peer.setLocalDescription(await peer.createOffer(how));
    return { sdp: peer.localDescription.sdp };
  };
  const accepted = async (response) => {
    const body = await response.json();
    if (body.sdp) await peer.setRemoteDescription({ type: "answer", sdp: body.sdp });
    return body;
  };
  const pickUp = async () => {
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    peer = new RTCPeerConnection();
    microphone.getTracks().forEach((track) => peer.addTrack(track, microphone));
  };
  window.line = {
    async call(http, token) {
      const before = peer;
      await pickUp();
      const response = await ask(`${http}/v1/calls`, "POST", token, await offered());
      if (!response.ok) {
        peer.close();
        peer = before;
        return response.status;
      }
      const { call, secret } = await accepted(response);
      sessionStorage.call = JSON.stringify({ url: `${http}/v1/calls/${call}`, secret });
      return response.status;
    },
    async renew() {
      await pickUp();
      return this.offerAnew();
    },
    restartIce() {
      peer.restartIce();
      return this.offerAnew();
    },
    async offerAnew() {
      const { url, secret } = kept();
      const response = await ask(url, "PATCH", secret, await offered());
      await accepted(response);
      return response.status;
    },
    async hangUp(bearer) {
      const { url, secret } = kept();
      return (await ask(url, "DELETE", bearer ?? secret)).status;
    },
    press: (keys) => peer.getSenders()[0].dtmf.insertDTMF(keys, 100, 70),
  };
}
