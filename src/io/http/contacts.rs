//! Contacts, running and finished, and their recordings.

use std::io::SeekFrom;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::{ContactsRead, Keyed, RecordingsRead};
use super::body::{Asked, Named};
use super::problem::Problem;
use crate::base::ContactId;
use crate::call::recording::Format;
use crate::call::release::{Cause, Release};
use crate::io::store::{ContactRecord, ContactState, MAX_PAGE};

/// Contacts on a page where none is asked for.
const PAGE: usize = 100;
const CHUNK: usize = 64 * 1024;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// `next` of the page before
    after: Option<String>,
    /// At most 500; 100 if not given
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Contacts {
    #[schema(value_type = Vec<Contact>)]
    contacts: Vec<Value>,
    /// Give it as `after` for what follows; null on the last page.
    #[schema(value_type = Option<String>)]
    next: Option<ContactId>,
}

/// What one person wanted at one time. Times are RFC 3339 in UTC.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "c_06c1y8g3a0f3v9h2k7m4n5p6q7", "state": "finished", "brand": "default", "customer": null,
    "confidence": "number", "started_at": "2026-01-31T08:00:00.000Z", "ended_at": "2026-01-31T08:04:10.000Z",
    "context_before_answer": "displayed"
}))]
pub struct Contact {
    id: String,
    /// Counts up with every change.
    revision: u32,
    brand: String,
    customer: Option<String>,
    /// How sure it was who called: `none`, `number`, `attested`, `verified`, `token`.
    confidence: String,
    /// `running`, `finished`, or `interrupted` by the end of the daemon.
    state: String,
    started_at: String,
    ended_at: Option<String>,
    /// Each with its segments, which add up to `ms`, and its release.
    calls: Vec<super::steps::Object>,
    /// Where each lies on its call's timeline (`offset_ms` from the INVITE, `length_ms`), its `format`
    /// (`wav`, `opus`), what is `masked` (`from_ms`, `to_ms` in the recording), and its `state`:
    /// `recording`, `finishing`, `saved`, `spoiled` (the disk refused; it is shorter, or there is none),
    /// `interrupted` (what there was when the daemon ended).
    recordings: Vec<super::steps::Object>,
    /// How each leg fared: its `party` (`caller`, `agent`, `outside`), `leg` (`rtp`, `webrtc`), `codec`,
    /// `round_trip_ms`, and what we heard `from` the party and what it told was heard of us (`to`): number of
    /// `reports`, `loss` and `late` as shares of 1, `jitter_ms`, `mos_min`, `mos_avg` (E-model).
    audio: Vec<super::steps::Object>,
    /// Who could not be heard while two talked: `party`, `what` (`no_packets`), `one_way`, `from_ms` from the
    /// INVITE, `ms`, and the same as `text`: "no packets from agent since 12:01:07Z".
    audio_faults: Vec<super::steps::Object>,
    /// The last one it stood in.
    queue: Option<String>,
    /// Stops on the way through the flow.
    path: Vec<super::steps::Object>,
    /// Offers to agents, and what became of each.
    hops: Vec<super::steps::Object>,
    notes: Vec<super::steps::Object>,
    /// As the agent saw it.
    breakpoint: Option<super::steps::Object>,
    /// Whether the agent saw the context before answering: `displayed`, `late`, `none`.
    context_before_answer: Option<String>,
    disposition: Option<super::steps::Object>,
}

/// List contacts
///
/// Oldest first; running ones among them.
#[utoipa::path(
    get, path = "/v1/contacts", tag = "contacts",
    params(Paging),
    responses((status = 200, body = Contacts), (status = 400, description = "No such page", body = Problem)),
    security(("key" = ["contacts:read"])),
)]
pub async fn list(
    State(api): State<Arc<Api>>,
    Keyed { key, .. }: Keyed<ContactsRead>,
    Asked(paging): Asked<Paging>,
) -> Result<axum::Json<Contacts>, Problem> {
    let limit = paging.limit.unwrap_or(PAGE);
    if limit == 0 || limit > MAX_PAGE {
        return Err(Problem::bad_request(format!("limit is from 1 to {MAX_PAGE}")));
    }
    let after = paging.after.map(|after| after.parse()).transpose();
    let after = after.map_err(|_| Problem::bad_request("after is the id of a contact"))?;
    let records = api.store.contacts(&key.brand, after, limit).await?;
    let next = records.last().filter(|_| records.len() == limit).map(|last| last.id);
    Ok(axum::Json(Contacts { contacts: records.into_iter().map(document).collect(), next }))
}

/// One contact
#[utoipa::path(
    get, path = "/v1/contacts/{id}", tag = "contacts",
    params(("id" = String, Path)),
    responses((status = 200, body = Contact), (status = 404, body = Problem, description = "No such contact")),
    security(("key" = ["contacts:read"])),
)]
pub async fn one(
    State(api): State<Arc<Api>>,
    Keyed { key, .. }: Keyed<ContactsRead>,
    Named(id): Named<ContactId>,
) -> Result<axum::Json<Value>, Problem> {
    let record = api.store.contact(&key.brand, id).await?;
    record.map(|record| axum::Json(document(record))).ok_or_else(|| Problem::not_found("no such contact"))
}

/// The columns go before the document: only they are closed when the last run died. Of the calls
/// that were up then nobody wrote how they ended; it is said here.
fn document(record: ContactRecord) -> Value {
    let mut body = record.body;
    if record.state == ContactState::Interrupted {
        let calls = body.get_mut("calls").and_then(Value::as_array_mut).into_iter().flatten();
        for release in calls.filter_map(|call| call.get_mut("release")).filter(|release| release.is_null()) {
            *release = json!(Release::by_us(Cause::Interrupted));
        }
        let recordings = body.get_mut("recordings").and_then(Value::as_array_mut).into_iter().flatten();
        for state in recordings.filter_map(|recording| recording.get_mut("state")) {
            if *state == "recording" || *state == "finishing" {
                *state = "interrupted".into();
            }
        }
    }
    if let Some(fields) = body.as_object_mut() {
        fields.insert("state".into(), record.state.name().into());
        fields.insert("ended_at".into(), record.ended.map_or(Value::Null, |ended| ended.to_string().into()));
    }
    body
}

/// A contact's recording
///
/// Stereo: left what the caller says, right what the caller hears. One range of bytes may be asked for.
#[utoipa::path(
    get, path = "/v1/contacts/{id}/recording", tag = "contacts",
    params(("id" = String, Path)),
    responses(
        (status = 200, content_type = "audio/wav", description = "The whole of it; `audio/ogg; codecs=opus` where it is Opus"),
        (status = 206, content_type = "audio/wav", description = "The range asked for"),
        (status = 404, body = Problem, description = "No such contact, or it was not recorded, or that is not finished"),
        (status = 416, body = Problem, description = "It is not that long"),
    ),
    security(("key" = ["recordings:read"])),
)]
pub async fn recording(
    State(api): State<Arc<Api>>,
    Keyed { key, .. }: Keyed<RecordingsRead>,
    Named(id): Named<ContactId>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let none = || Problem::not_found("no recording");
    let record = api.store.contact(&key.brand, id).await?.ok_or_else(none)?;
    let recordings = record.body.get("recordings").and_then(Value::as_array);
    let name = recordings.into_iter().flatten().find_map(|recording| recording.get("file")?.as_str());
    let (name, format) = name.and_then(|name| Some((name, recorded(name)?))).ok_or_else(none)?;
    let path = api.config().node.data_dir.join("recordings").join(name);
    let mut file = File::open(path).await.map_err(|_| none())?;
    let length = file.metadata().await.map_err(|_| none())?.len();
    let wanted =
        headers.get(RANGE).and_then(|range| range.to_str().ok()).map(|range| range_of(range, length));
    let (status, bytes) = match wanted {
        // RFC 9110 §14.2: a Range that is not understood is ignored.
        None | Some(Wanted::All) => (StatusCode::OK, 0..=length.saturating_sub(1)),
        Some(Wanted::Part(bytes)) => (StatusCode::PARTIAL_CONTENT, bytes),
        Some(Wanted::Beyond) => {
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("it has {length} bytes"));
            return Err(problem);
        }
    };
    let left = if length == 0 { 0 } else { bytes.end() - bytes.start() + 1 };
    file.seek(SeekFrom::Start(*bytes.start())).await.map_err(|_| none())?;
    let mut response = Response::new(Body::from_stream(stream::try_unfold((file, left), read_on)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, left.into());
    let attachment = format!("attachment; filename=\"recording.{}\"", format.extension());
    headers.extend(HeaderValue::try_from(attachment).ok().map(|it| (CONTENT_DISPOSITION, it)));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{length}", bytes.start(), bytes.end());
        headers.extend(HeaderValue::try_from(range).ok().map(|range| (CONTENT_RANGE, range)));
    }
    Ok(response)
}

async fn read_on((mut file, left): (File, u64)) -> std::io::Result<Option<(Bytes, (File, u64))>> {
    if left == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
    let got = file.read(&mut chunk).await?;
    if got == 0 {
        // Content-Length promised more.
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    chunk.truncate(got);
    Ok(Some((chunk.into(), (file, left.saturating_sub(got as u64)))))
}

/// Names are our own, and yet nothing that leads elsewhere is opened.
fn recorded(name: &str) -> Option<Format> {
    let (stem, _) = name.rsplit_once('.')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (!stem.is_empty() && stem.bytes().all(plain)).then(|| Format::of(name)).flatten()
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(RangeInclusive<u64>),
    Beyond,
}

/// RFC 9110 §14.1.2, one range.
fn range_of(range: &str, length: u64) -> Wanted {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    match (number(first), number(last)) {
        (Ok(first), Ok(last)) if last < first => Wanted::All,
        (Ok(first), _) if first >= length => Wanted::Beyond,
        (Ok(first), Ok(last)) => Wanted::Part(first..=last.min(length - 1)),
        (Ok(first), Err(_)) if last.trim().is_empty() => Wanted::Part(first..=length - 1),
        (Err(_), Ok(0)) if first.trim().is_empty() => Wanted::Beyond,
        (Err(_), Ok(_)) if first.trim().is_empty() && length == 0 => Wanted::Beyond,
        (Err(_), Ok(suffix)) if first.trim().is_empty() => {
            Wanted::Part(length.saturating_sub(suffix)..=length - 1)
        }
        _ => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_its_rfc_says() {
        for (range, wanted) in [
            ("bytes=0-99", Wanted::Part(0..=99)),
            ("bytes=990-", Wanted::Part(990..=999)),
            ("bytes=-10", Wanted::Part(990..=999)),
            ("bytes=-5000", Wanted::Part(0..=999)),
            ("bytes=10-5000", Wanted::Part(10..=999)),
            ("bytes=1000-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=9-3", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("bytes=-", Wanted::All),
        ] {
            assert_eq!(range_of(range, 1000), wanted, "{range}");
        }
        assert_eq!(range_of("bytes=0-0", 0), Wanted::Beyond);
        assert_eq!(range_of("bytes=-1", 0), Wanted::Beyond);
    }

    #[test]
    fn no_name_leads_out_of_the_recordings() {
        assert_eq!(recorded("c_01ab-00c0ffee00c0ffee.opus"), Some(Format::Opus));
        assert_eq!(recorded("00c0ffee00c0ffee-2.wav"), Some(Format::Wav));
        for name in
            ["../baton.db", "a/b.wav", ".wav", "/etc/passwd", "00c0.wav/..", "x.db", "x.wav.part", "a.b.wav"]
        {
            assert_eq!(recorded(name), None, "{name}");
        }
    }
}
