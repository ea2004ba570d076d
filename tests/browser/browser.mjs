// The browser of these tests: the system's Chromium, or what CHROMIUM names. What it says into its
// microphone, and what of its calls can be seen and heard.

import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

/**
 * With `microphone`, a WAV of 48 kHz that is said again and again, there is one; whether a page may
 * have it is for its context's permissions to say. With `trusted`, the SHA-256 of a public key in
 * base64, its certificates are believed.
 */
export function launch({ microphone, trusted } = {}) {
  const speaking = [
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-audio-capture=${microphone}`,
    // All there is of a network here.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
  ];
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
      "--no-sandbox",
      "--autoplay-policy=no-user-gesture-required",
      ...(microphone ? speaking : []),
      ...(trusted ? [`--ignore-certificate-errors-spki-list=${trusted}`] : []),
    ],
  });
}

/** Writes a microphone's file that says a tone: beeps, for a steady one is noise to a browser's noise suppression. */
export function beep(file, hz) {
  const beeps = ["synth", "0.3", "sine", `${hz}`, "gain", "-6", "pad", "0", "0.2", "repeat", "9"];
  execFileSync("sox", ["-n", "-r", "48000", "-c", "1", "-b", "16", file, ...beeps]);
}

/** Keeps the connections of what is loaded into this page from now on as `peers`. */
export function watch(page) {
  return page.addInitScript(() => {
    window.peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...args) {
        super(...args);
        window.peers.push(this);
      }
    };
  });
}

/** Of a watched page's last connection: packets either way, and the loudest frequency that comes. */
export function ear(page) {
  return page.evaluate(async () => {
    const peer = window.peers.at(-1);
    const stats = [...(await peer.getStats()).values()];
    const one = (type) => stats.find((stat) => stat.type === type) ?? {};
    if (window.listened !== peer) {
      window.listened = peer;
      window.context ??= new AudioContext({ sampleRate: 16_000 });
      window.analyser = new AnalyserNode(window.context, { fftSize: 2048, smoothingTimeConstant: 0 });
      const stream = new MediaStream([peer.getReceivers()[0].track]);
      window.context.createMediaStreamSource(stream).connect(window.analyser);
      // Chromium decodes nothing that no element plays.
      window.player = new Audio();
      window.player.srcObject = stream;
      window.player.play();
    }
    const bins = new Float32Array(window.analyser.frequencyBinCount);
    window.analyser.getFloatFrequencyData(bins);
    const loudest = bins.indexOf(Math.max(...bins));
    return {
      sent: one("outbound-rtp").packetsSent ?? 0,
      received: one("inbound-rtp").packetsReceived ?? 0,
      lost: one("inbound-rtp").packetsLost ?? 0,
      energy: one("inbound-rtp").totalAudioEnergy ?? 0,
      codec: stats.find((stat) => stat.id === one("inbound-rtp").codecId)?.mimeType,
      hz: bins[loudest] > -60 ? (loudest * 16_000) / 2048 : 0,
    };
  });
}

/** The fragment by which the far end of a watched page's last connection is known to ICE. */
export function farFragment(page) {
  return page.evaluate(() => window.peers.at(-1).currentRemoteDescription?.sdp.match(/ice-ufrag:(\S+)/)[1]);
}
