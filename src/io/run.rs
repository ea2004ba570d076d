//! The daemon: binds everything, then drives the one gateway until it is told to stop.
//!
//! One task owns the gateway. Whatever happens in the world comes to it in one order; what the
//! gateway wants done is carried out at once or handed to the room that does it. Nothing that
//! may wait is awaited here.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::base::{Language, Mint, Wall};
use crate::config::Config;
use crate::config::fault::Fault;
use crate::gateway::contact::Sought;
use crate::gateway::desk::ConnectionId;
use crate::gateway::{Gateway, Input, Output, Write};
use crate::io::clock::Clock;
use crate::io::fetch::Fetcher;
use crate::io::http;
use crate::io::line::{Ask, Frame, Line, Pages};
use crate::io::load;
use crate::io::media::{self, Media, Report, ShardId, Shelf};
use crate::io::secret;
use crate::io::sip::{Limits, Sip};
use crate::io::speech::Speech;
use crate::io::store::{Sqlite, Store};
use crate::io::vitals::Vitals;
use crate::io::writer;
use crate::ivr::Utterance;
use crate::journey::identity::Claim;
use crate::sip::{self, Transport};

/// How long hanging up on everybody may take once the grace is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A daemon that is up. Dropping it does not stop it: [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    /// As bound: port 0 has become a real one.
    pub sip: Vec<(Transport, SocketAddr)>,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    pub line: Line,
    task: JoinHandle<()>,
    stop: watch::Sender<Stop>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    /// When the calls that are up have ended, or the grace is over.
    Drained,
    Now,
}

/// Runs the daemon until SIGTERM or SIGINT, with the process's signals and systemd's wishes.
pub fn serve(config: Config, path: PathBuf) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let running = start(config, Some(path)).await?;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        running.until_signalled().await
    })
}

/// Binds and starts everything. `path` is read again by a reload.
pub async fn start(mut config: Config, path: Option<PathBuf>) -> anyhow::Result<Running> {
    let clock = Clock::new();
    let data = config.node.data_dir.clone();
    std::fs::create_dir_all(&data).with_context(|| format!("data directory {}", data.display()))?;

    let (sip_inputs, from_sip) = mpsc::channel(4096);
    let sip = Sip::bind(&config.sip.listeners, Limits::default(), sip_inputs).context("SIP")?;
    config.sip.listeners = sip.bound().to_vec();
    let reachable = reachable(&config)?;
    config.media.advertised = Some(reachable);
    if config.sip.listeners.iter().any(|(_, address)| address.ip().is_unspecified()) {
        config.sip.advertised.get_or_insert(reachable);
    }

    let file = data.join(config.store.url.trim_start_matches("sqlite:"));
    let store =
        Sqlite::open(&file, Mint::new(secret::random().context("randomness")?)).await.context("store")?;
    let store: Arc<dyn Store> = Arc::new(store);
    let interrupted = store.interrupt_running(clock.now().wall).await.context("store")?;
    if interrupted > 0 {
        tracing::warn!(interrupted, "contacts were up when the last run ended");
    }
    let speech = voice(&config);
    let mut mint = Mint::new(secret::random().context("randomness")?);
    let (reports, from_media) = mpsc::channel(4096);
    let settings = media_settings(&config, data.join("recordings"));
    let media = Media::start(&settings, clock, &mut mint, &reports).context("media")?;
    config.media.fingerprint = Some(media.fingerprint());
    // As with the stock: where peers reach us, not what we are bound to.
    config.media.web = media.web().iter().map(|at| SocketAddr::new(reachable, at.port())).collect();
    let fetcher = Fetcher::new().context("HTTP client")?;

    let (line, asks) = Line::new();
    let config = Arc::new(config);
    let (configured, watching) = watch::channel(config.clone());
    let vitals =
        Arc::new(Vitals { recordings: media.alarms(), media: media.all_counts(), ..Vitals::default() });
    let http = http::start(watching, line.clone(), store.clone(), vitals.clone(), clock, sip.inlet())
        .await
        .context("HTTP")?;

    let gateway = Gateway::new(config.clone(), mint.bytes(), clock.now());
    let (to_writer, written) = mpsc::unbounded_channel();
    let writing =
        tokio::spawn(writer::write(store.clone(), written, line.clone(), vitals.lost_writes.clone()));
    let (stop, stopping) = watch::channel(Stop::No);
    let bound = sip.bound().to_vec();
    let (http_address, admin_address) = (http.listen, http.admin);
    let shell = Shell {
        clock,
        gateway,
        config,
        path,
        configured,
        vitals,
        sip,
        media,
        store,
        speech,
        fetcher,
        http,
        line: line.clone(),
        desktops: HashMap::new(),
        pages: Pages::default(),
        to_writer,
        writing,
        stop: stop.clone(),
    };
    let inboxes = Inboxes { sip: from_sip, media: from_media, asks, stopping };
    let task = tokio::spawn(shell.drive(inboxes));
    tracing::info!(sip = ?bound, http = %http_address, admin = %admin_address, "up");
    Ok(Running { sip: bound, http: http_address, admin: admin_address, line, task, stop })
}

impl Running {
    /// Ends when the daemon has stopped: after SIGTERM or SIGINT, twice for at once, or a drain.
    async fn until_signalled(mut self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                ended = &mut self.task => return ended.context("the gateway's loop broke"),
                _ = terminate.recv() => self.raise(),
                _ = interrupt.recv() => self.raise(),
                _ = hangup.recv() => {
                    let line = self.line.clone();
                    // The loop logs what came of it.
                    tokio::spawn(async move { line.reload().await });
                }
            }
        }
    }

    fn raise(&self) {
        self.stop.send_modify(|stop| *stop = if *stop == Stop::No { Stop::Drained } else { Stop::Now });
    }

    /// Hangs up on everybody and waits until all is written.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(Stop::Now);
        self.task.await.context("the gateway's loop broke")
    }
}

struct Inboxes {
    sip: mpsc::Receiver<sip::Input>,
    media: mpsc::Receiver<Report>,
    asks: mpsc::Receiver<Ask>,
    stopping: watch::Receiver<Stop>,
}

/// Everything the loop works with.
struct Shell {
    clock: Clock,
    gateway: Gateway,
    config: Arc<Config>,
    path: Option<PathBuf>,
    configured: watch::Sender<Arc<Config>>,
    vitals: Arc<Vitals>,
    sip: Sip,
    media: Media,
    store: Arc<dyn Store>,
    speech: Arc<Speech>,
    fetcher: Fetcher,
    http: http::Serving,
    line: Line,
    desktops: HashMap<ConnectionId, mpsc::Sender<Frame>>,
    pages: Pages,
    to_writer: mpsc::UnboundedSender<(Write, Wall)>,
    writing: JoinHandle<()>,
    stop: watch::Sender<Stop>,
}

impl Shell {
    async fn drive(mut self, mut from: Inboxes) {
        let mut beats = tokio::time::interval(watchdog_interval());
        let mut until = None;
        loop {
            self.carry_out();
            self.vitals.turns.fetch_add(1, Ordering::Relaxed);
            if until.is_some() && self.gateway.is_drained() {
                break;
            }
            let next = self.gateway.poll_timeout().map(|at| self.clock.instant(at).into());
            tokio::select! {
                Ok(()) = from.stopping.changed() => {
                    let now = self.clock.now();
                    let stop = *from.stopping.borrow();
                    // Whoever asked: from now on it is no failure that the loop ends, or waits for the disk.
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
                    self.gateway.handle_input(now, Input::Drain);
                    if stop == Stop::Now {
                        self.gateway.handle_input(now, Input::Shutdown);
                    }
                    let grace = if stop == Stop::Now { LAST_WORDS } else { self.config.node.drain };
                    until = Some((tokio::time::Instant::now() + grace, stop));
                }
                () = sleep_until(until.map(|(at, _)| at)) => match until {
                    Some((at, Stop::Drained)) => {
                        tracing::warn!("calls are still up after the grace: hanging up");
                        self.gateway.handle_input(self.clock.now(), Input::Shutdown);
                        until = Some((at + LAST_WORDS, Stop::Now));
                    }
                    _ => break,
                },
                Some(report) = from.media.recv() => self.report(report),
                Some(input) = from.sip.recv() => self.gateway.handle_input(self.clock.now(), Input::Sip(input)),
                Some(ask) = from.asks.recv() => self.obey(ask),
                () = sleep_until(next) => self.gateway.handle_timeout(self.clock.now()),
                _ = beats.tick() => {
                    // Fed by this loop and the media tick, not by a timer of its own: when either
                    // hangs, systemd starts us anew.
                    if let Some(shard) = self.media.stalled() {
                        tracing::error!(?shard, "the media thread does not turn");
                    } else {
                        let calls = self.gateway.health(self.clock.now()).calls;
                        let status = format!("{calls} calls");
                        let _ = sd_notify::notify(&[
                            sd_notify::NotifyState::Watchdog,
                            sd_notify::NotifyState::Status(&status),
                        ]);
                    }
                }
            }
        }
        self.close(from.media).await;
    }

    /// Does what the gateway wants done.
    fn carry_out(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Transmit { hop, bytes } => {
                    if let Err(unreachable) = self.sip.send(hop, bytes) {
                        self.gateway.handle_input(self.clock.now(), Input::Sip(unreachable));
                    }
                }
                Output::Media { shard, command } => {
                    if self.media.command(ShardId(shard.into()), command).is_err() {
                        tracing::error!(shard, "the media thread takes no commands: audio is lost");
                    }
                }
                Output::Label { shard, recording, contact } => {
                    self.media.label(ShardId(shard.into()), recording, contact);
                }
                Output::Take(socket) => self.media.take(ShardId(socket.shard.into()), socket.id),
                Output::Retire(socket) => self.media.retire(ShardId(socket.shard.into()), socket.id),
                Output::Store(write) => {
                    // The receiver lives as long as the loop.
                    let _ = self.to_writer.send((write, self.clock.now().wall));
                }
                Output::LookUp { contact, ticket, brand, sought } => {
                    let (store, line) = (self.store.clone(), self.line.clone());
                    tokio::spawn(async move {
                        let dossier = match sought {
                            Sought::Caller(identifiers) => {
                                let claims: Vec<_> = identifiers.into_iter().map(Claim::number).collect();
                                store.look_up(&brand, &claims).await
                            }
                            Sought::Customer(customer, confidence) => {
                                store.revisit(&brand, customer, confidence).await
                            }
                        };
                        let dossier =
                            dossier.inspect_err(|fault| tracing::error!(%fault, "caller not looked up"));
                        line.tell(Input::Found { contact, ticket, dossier: dossier.ok().map(Box::new) }).await
                    });
                }
                Output::Speak { contact, ticket, utterances } => {
                    let (speech, line) = (self.speech.clone(), self.line.clone());
                    tokio::spawn(async move {
                        let prompts = speech.speak(&utterances).await.unwrap_or_else(|fault| {
                            tracing::error!(%fault, "not spoken");
                            vec![]
                        });
                        line.tell(Input::Spoken { contact, ticket, prompts }).await
                    });
                }
                Output::Fetch { contact, ticket, fetch } => {
                    let connector = self.config.connectors.get(&fetch.connector).cloned();
                    let (fetcher, line) = (self.fetcher.clone(), self.line.clone());
                    tokio::spawn(async move {
                        let outcome = match connector {
                            Some(connector) => fetcher.fetch(&connector, fetch).await,
                            // A reload removed it under a running flow.
                            None => Err(crate::ivr::FetchFault::Unreachable),
                        };
                        line.tell(Input::Fetched { contact, ticket, outcome }).await
                    });
                }
                Output::Push { connection, seq, push } => {
                    let full = self
                        .desktops
                        .get(&connection)
                        .is_some_and(|to| to.try_send(Frame::Push { seq, push }).is_err());
                    if full {
                        // Too slow to read: it is cut off, and replays from its last number.
                        self.desktops.remove(&connection);
                        self.gateway.handle_input(self.clock.now(), Input::Detached { connection });
                    }
                }
                Output::Web { ticket, outcome } => self.pages.answer(ticket, outcome),
                Output::Dismiss { connection } => {
                    if let Some(to) = self.desktops.remove(&connection) {
                        let _ = to.try_send(Frame::Dismiss);
                    }
                }
            }
        }
    }

    fn report(&mut self, report: Report) {
        let now = self.clock.now();
        match report {
            Report::Stocked { shard, socket, mut address } => {
                // Peers are told where they can reach us, not what we are bound to.
                if let Some(advertised) = self.config.media.advertised {
                    address.set_ip(advertised);
                }
                let shard = u16::try_from(shard.0).unwrap_or(u16::MAX);
                self.gateway.handle_input(now, Input::Stocked { shard, socket, address });
            }
            Report::Event { shard, event } => {
                let shard = u16::try_from(shard.0).unwrap_or(u16::MAX);
                self.gateway.handle_input(now, Input::Media { shard, event });
            }
            Report::Saved { recording, path, length } => {
                tracing::info!(path = %path.display(), ?length, "recorded");
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.gateway.handle_input(now, Input::Saved { recording, file, length });
            }
            Report::Spoiled { recording, error, length } => {
                tracing::warn!(recording = recording.0, %error, ?length, "recording cut short");
                self.gateway.handle_input(now, Input::Spoiled { recording, length });
            }
        }
    }

    fn obey(&mut self, ask: Ask) {
        let now = self.clock.now();
        match ask {
            Ask::Tell(input) => {
                if let Input::Detached { connection } = &input {
                    self.desktops.remove(connection);
                }
                if let Input::Reload(config) = &input {
                    self.config = config.clone();
                    self.speech = voice(config);
                    self.configured.send_replace(config.clone());
                }
                self.gateway.handle_input(now, input);
            }
            Ask::Look(look) => look(&self.gateway, now),
            Ask::Attach { connection, agent, resume_from, frames } => {
                self.desktops.insert(connection, frames);
                self.gateway.handle_input(now, Input::Attached { connection, agent, resume_from });
            }
            Ask::Web(request, answer) => {
                let ticket = self.pages.ask(answer);
                self.gateway.handle_input(now, Input::Web { ticket, request });
            }
            Ask::Reload(answer) => self.reload(answer),
            Ask::Drain => {
                self.stop.send_modify(|stop| *stop = (*stop).max(Stop::Drained));
            }
        }
    }

    /// Reads off the loop; what is good comes back as an input.
    fn reload(&self, answer: tokio::sync::oneshot::Sender<Result<(), Vec<Fault>>>) {
        let (path, line, vitals, running) =
            (self.path.clone(), self.line.clone(), self.vitals.clone(), self.config.clone());
        tokio::spawn(async move {
            let Some(path) = path else {
                return drop(answer.send(Ok(())));
            };
            let loaded = tokio::task::spawn_blocking(move || load::load(&path)).await;
            let Ok(outcome) = loaded else { return };
            // Before it is told: who was told may ask at once.
            vitals.reload_failed.store(outcome.is_err(), Ordering::Relaxed);
            let outcome = match outcome {
                Ok(config) => {
                    let _ = line.tell(Input::Reload(Arc::new(keep_bound(config, &running)))).await;
                    tracing::info!("configuration reloaded");
                    Ok(())
                }
                Err(faults) => {
                    for fault in &faults {
                        tracing::error!(%fault, "configuration not reloaded; the old one stays");
                    }
                    Err(faults)
                }
            };
            let _ = answer.send(outcome);
        });
    }

    async fn close(mut self, mut from_media: mpsc::Receiver<Report>) {
        // The calls are over and have said so; what of them was recorded is told of now.
        self.media.stop();
        while let Ok(report) = from_media.try_recv() {
            self.report(report);
        }
        self.carry_out();
        let Self { sip, store, http, to_writer, writing, .. } = self;
        http.close().await;
        sip.close(LAST_WORDS).await;
        drop(to_writer);
        let _ = writing.await;
        store.close().await;
        tracing::info!("down");
    }
}

/// What was bound at the start stays bound; a change of it waits for the next start, and says so.
fn keep_bound(mut config: Config, running: &Config) -> Config {
    let port_matters = |wanted: &[(Transport, SocketAddr)], bound: &[(Transport, SocketAddr)]| {
        wanted.len() != bound.len()
            || wanted
                .iter()
                .zip(bound)
                .any(|(a, b)| a.0 != b.0 || a.1.ip() != b.1.ip() || (a.1.port() != 0 && a.1 != b.1))
    };
    if port_matters(&config.sip.listeners, &running.sip.listeners)
        || config.media.address != running.media.address
        || config.media.ports != running.media.ports
        || config.media.recording_format != running.media.recording_format
        || config.media.recording_floor != running.media.recording_floor
        || config.media.shards != running.media.shards
        || config.media.web_port != running.media.web_port
        || config.http.listen != running.http.listen
        || config.http.admin != running.http.admin
        || config.store.url != running.store.url
        || config.node.data_dir != running.node.data_dir
    {
        tracing::warn!("listeners, media, store and data directory change at the next start only");
    }
    config.sip.listeners = running.sip.listeners.clone();
    config.sip.advertised = config.sip.advertised.or(running.sip.advertised);
    let crate::config::Media { silence, codecs, ice_servers, .. } = config.media;
    config.media = crate::config::Media { silence, codecs, ice_servers, ..running.media.clone() };
    config.http.listen = running.http.listen;
    config.http.admin = running.http.admin;
    config
}

/// The voice of this configuration, which learns in the background what it will have to say.
fn voice(config: &Config) -> Arc<Speech> {
    let speech = Arc::new(Speech::new(&config.speech, config.node.data_dir.join("speech")));
    let spoken = |language: &Language| config.flows.values().any(|flow| flow.speaks(*language));
    let languages: Vec<_> = Language::ALL.into_iter().filter(spoken).collect();
    let music = config.queues.values().flat_map(|queue| {
        let prompt = |&language| Utterance::Prompt { name: queue.music.clone(), language };
        languages.iter().map(prompt).collect::<Vec<_>>()
    });
    let known: Vec<_> = config.flows.values().flat_map(|flow| flow.fixed_utterances()).chain(music).collect();
    let learning = speech.clone();
    tokio::spawn(async move { learning.prepare(&known).await });
    speech
}

fn media_settings(config: &Config, recordings: PathBuf) -> media::Settings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = if config.media.shards == 0 { cores } else { config.media.shards.into() };
    let (first, last) = config.media.ports;
    media::Settings {
        shards,
        address: config.media.address,
        ports: first..=last,
        web_port: config.media.web_port,
        recordings: Shelf {
            folder: recordings,
            format: config.media.recording_format,
            floor: config.media.recording_floor,
        },
        ..media::Settings::default()
    }
}

/// The address SDP names: as configured, else where media is bound, else the address that would
/// be used to reach the rest of the world.
fn reachable(config: &Config) -> anyhow::Result<IpAddr> {
    if let Some(address) = config.media.advertised.or(config.sip.advertised) {
        return Ok(address);
    }
    if !config.media.address.is_unspecified() {
        return Ok(config.media.address);
    }
    let probe = std::net::UdpSocket::bind(SocketAddr::new(config.media.address, 0))?;
    // TEST-NET-1 (RFC 5737): connecting a datagram socket only asks the routing table.
    let outside = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr());
    Ok(outside.map_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), |address| address.ip()))
}

fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled().map_or(Duration::from_secs(5), |limit| limit / 3)
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_keeps_what_was_bound_and_found_at_the_start_and_takes_the_rest() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/baton.toml");
        let mut running = load::load(&path).expect("shipped");
        let found = IpAddr::from([192, 0, 2, 7]);
        running.sip.listeners = vec![(Transport::Udp, SocketAddr::from(([0, 0, 0, 0], 5060)))];
        (running.sip.advertised, running.media.advertised) = (Some(found), Some(found));
        let mut fresh = load::load(&path).expect("shipped");
        fresh.media.silence = Duration::from_secs(7);

        let kept = keep_bound(fresh, &running);
        assert_eq!((kept.sip.advertised, kept.media.advertised), (Some(found), Some(found)));
        assert_eq!(kept.sip.listeners, running.sip.listeners);
        assert_eq!(kept.media.silence, Duration::from_secs(7));
    }
}
