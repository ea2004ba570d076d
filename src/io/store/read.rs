//! Reading: every query walks an index and stops at a limit.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{ContactRecord, ContactState, MAX_OPEN, MAX_PREVIOUS, MAX_STEPS};
use crate::base::{AgentId, BrandId, ContactId, CustomerId, Pii, QueueId, Wall};
use crate::journey::breakpoint::Report;
use crate::journey::handoff::Binding;
use crate::journey::identity::{Candidate, Standing};
use crate::journey::{
    Confidence, Customer, Dossier, Identifier, IdentifierKind, Journey, Previous, Profile, Status, Step,
};

/// More than one verified holder is already ambiguous; more than a few are somebody's test number.
pub(super) const MAX_HOLDERS: i64 = 32;

pub(super) const HOLDERS: &str = "
    SELECT c.row, c.id, i.kind, i.value, i.verified
    FROM (SELECT customer FROM identifiers WHERE brand = ?1 AND kind = ?2 AND value = ?3
          ORDER BY verified DESC, alone DESC, customer LIMIT ?4) h
    JOIN customers c ON c.row = h.customer
    JOIN identifiers i ON i.customer = h.customer";

pub(super) const OPEN_JOURNEYS: &str = "
    SELECT row, name, topic, resolved_at, resolved_row FROM journeys
    WHERE customer = ?1 AND open = 1 ORDER BY last_at DESC LIMIT ?2";

pub(super) const STEPS: &str = "
    SELECT id, topic, channel, step, label, ordinal, total, status, reason, data, at FROM steps
    WHERE journey = ?1 AND at > ?2 AND row > ?3 ORDER BY at DESC, row DESC LIMIT ?4";

pub(super) const REPORTS: &str = "
    SELECT s.step, s.status, s.ordinal, s.total FROM journeys j JOIN steps s ON s.journey = j.row
    WHERE j.row = ?1 AND s.at > j.resolved_at AND s.row > j.resolved_row
    ORDER BY s.at DESC, s.row DESC LIMIT ?2";

pub(super) const PREVIOUS: &str = "
    SELECT id, agent, started, disposition FROM contacts
    WHERE customer = ?1 AND state <> 'running' ORDER BY started DESC LIMIT ?2";

pub(super) const CONTACTS: &str = "
    SELECT k.id, k.brand, c.id AS customer, k.revision, k.state, k.started, k.ended, k.agent,
           k.disposition, k.body
    FROM contacts k LEFT JOIN customers c ON c.row = k.customer
    WHERE k.brand = ?1 AND k.id > ?2 ORDER BY k.id LIMIT ?3";

pub(super) const CONTACT: &str = "
    SELECT k.id, k.brand, c.id AS customer, k.revision, k.state, k.started, k.ended, k.agent,
           k.disposition, k.body
    FROM contacts k LEFT JOIN customers c ON c.row = k.customer
    WHERE k.brand = ?1 AND k.id = ?2";

pub(super) const HANDOFF: &str = "
    SELECT c.id, h.brand, h.vouched, h.journey, h.queue, h.expires
    FROM handoffs h JOIN customers k ON k.row = h.customer JOIN customers c ON c.row = coalesce(k.same_as, k.row)
    WHERE h.token = ?1 AND h.used IS NULL AND h.expires > ?2";

/// Those who hold at least one of some identifiers, and the rows they are kept in.
#[derive(Default)]
pub(super) struct Found {
    pub candidates: Vec<Candidate>,
    rows: BTreeMap<CustomerId, (i64, usize)>,
}

impl Found {
    pub async fn read(
        at: &mut SqliteConnection,
        brand: &BrandId,
        identifiers: &[&Identifier],
    ) -> sqlx::Result<Self> {
        let mut found = Self::default();
        for identifier in identifiers {
            let rows = sqlx::query(HOLDERS)
                .bind(brand.as_str())
                .bind(identifier.kind.name())
                .bind(identifier.value.reveal())
                .bind(MAX_HOLDERS)
                .fetch_all(&mut *at)
                .await?;
            for row in &rows {
                found.add(row)?;
            }
        }
        Ok(found)
    }

    fn add(&mut self, row: &SqliteRow) -> sqlx::Result<()> {
        let customer: CustomerId = parsed(row, 1)?;
        let (_, place) = match self.rows.get(&customer) {
            Some(known) => *known,
            None => {
                let new = (row.try_get(0)?, self.candidates.len());
                self.candidates.push(Candidate { customer, known_by: vec![] });
                *self.rows.entry(customer).or_insert(new)
            }
        };
        let standing = if row.try_get(4)? { Standing::Verified } else { Standing::Stated };
        let held = (identifier_in(row, 2)?, standing);
        if let Some(candidate) = self.candidates.get_mut(place)
            && !candidate.known_by.contains(&held)
        {
            candidate.known_by.push(held);
        }
        Ok(())
    }

    pub fn row(&self, customer: CustomerId) -> Option<i64> {
        self.rows.get(&customer).map(|(row, _)| *row)
    }

    pub fn known_by(&self, customer: CustomerId) -> &[(Identifier, Standing)] {
        let candidate = self.rows.get(&customer).and_then(|(_, place)| self.candidates.get(*place));
        candidate.map_or(&[], |candidate| &candidate.known_by)
    }
}

/// The row in which a customer is kept now, also if it was merged into another.
pub(super) async fn customer_row(
    at: &mut SqliteConnection,
    brand: &BrandId,
    customer: CustomerId,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT coalesce(same_as, row) FROM customers WHERE id = ?1 AND brand = ?2")
        .bind(customer.to_string())
        .bind(brand.as_str())
        .fetch_optional(at)
        .await
}

pub(super) async fn dossier(
    at: &mut SqliteConnection,
    brand: &BrandId,
    row: i64,
    confidence: Confidence,
) -> sqlx::Result<Dossier> {
    let kept = sqlx::query("SELECT id, name, tier, language FROM customers WHERE row = ?1")
        .bind(row)
        .fetch_one(&mut *at)
        .await?;
    let identifiers =
        sqlx::query("SELECT kind, value FROM identifiers WHERE customer = ?1 ORDER BY verified DESC, kind")
            .bind(row)
            .fetch_all(&mut *at)
            .await?
            .iter()
            .map(|held| identifier_in(held, 0))
            .collect::<sqlx::Result<_>>()?;
    let profile = Profile {
        identifiers,
        name: kept.try_get::<Option<String>, _>(1)?.map(Pii::new),
        tier: kept.try_get(2)?,
        language: kept.try_get(3)?,
    };
    let customer = Customer { id: parsed(&kept, 0)?, brand: brand.clone(), profile };

    let journeys = sqlx::query(OPEN_JOURNEYS).bind(row).bind(MAX_OPEN as i64).fetch_all(&mut *at).await?;
    let mut open = Vec::with_capacity(journeys.len());
    for journey in &journeys {
        let id: String = journey.try_get(1)?;
        let steps = sqlx::query(STEPS)
            .bind(journey.try_get::<i64, _>(0)?)
            .bind(journey.try_get::<i64, _>(3)?)
            .bind(journey.try_get::<i64, _>(4)?)
            .bind(MAX_STEPS as i64)
            .fetch_all(&mut *at)
            .await?;
        let steps = steps.iter().rev().map(|step| step_in(step, &id)).collect::<sqlx::Result<_>>()?;
        open.push(Journey { id, topic: journey.try_get(2)?, steps });
    }

    let previous = sqlx::query(PREVIOUS)
        .bind(row)
        .bind(MAX_PREVIOUS as i64)
        .fetch_all(at)
        .await?
        .iter()
        .map(|contact| {
            Ok(Previous {
                contact: parsed(contact, 0)?,
                agent: contact.try_get::<Option<&str>, _>(1)?.map(AgentId::from),
                at: wall(contact.try_get(2)?),
                disposition: contact.try_get(3)?,
            })
        })
        .collect::<sqlx::Result<_>>()?;
    Ok(Dossier { customer: Some(customer), confidence, open, previous })
}

/// Whether a journey is open by the steps that still count.
pub(super) async fn is_open(at: &mut SqliteConnection, journey: i64) -> sqlx::Result<bool> {
    let rows = sqlx::query(REPORTS).bind(journey).bind(MAX_STEPS as i64).fetch_all(at).await?;
    let reports = rows
        .iter()
        .map(|row| {
            Ok(Report {
                step: row.try_get(0)?,
                status: status_in(row, 1)?,
                ordinal: row.try_get(2)?,
                total: row.try_get(3)?,
            })
        })
        .collect::<sqlx::Result<Vec<_>>>()?;
    Ok(Report::stop(reports).is_some())
}

pub(super) fn contact_in(row: &SqliteRow) -> sqlx::Result<ContactRecord> {
    let state = match row.try_get::<&str, _>("state")? {
        "running" => ContactState::Running,
        "finished" => ContactState::Finished,
        _ => ContactState::Interrupted,
    };
    Ok(ContactRecord {
        id: parsed::<ContactId>(row, 0)?,
        brand: BrandId::from(row.try_get::<&str, _>("brand")?),
        customer: row
            .try_get::<Option<&str>, _>("customer")?
            .map(str::parse)
            .transpose()
            .map_err(|error| damaged("customer", error))?,
        revision: row.try_get("revision")?,
        state,
        started: wall(row.try_get("started")?),
        ended: row.try_get::<Option<i64>, _>("ended")?.map(wall),
        agent: row.try_get::<Option<&str>, _>("agent")?.map(AgentId::from),
        disposition: row.try_get("disposition")?,
        body: serde_json::from_str(row.try_get("body")?).map_err(|error| damaged("body", error))?,
    })
}

pub(super) fn binding_in(row: &SqliteRow) -> sqlx::Result<Binding> {
    Ok(Binding {
        customer: parsed(row, 0)?,
        brand: BrandId::from(row.try_get::<&str, _>(1)?),
        confidence: if row.try_get(2)? { Confidence::Token } else { Confidence::Number },
        journey: row.try_get(3)?,
        queue: row.try_get::<Option<&str>, _>(4)?.map(QueueId::from),
        expires: wall(row.try_get(5)?),
    })
}

fn step_in(row: &SqliteRow, journey: &str) -> sqlx::Result<Step> {
    let data = match row.try_get::<Option<&str>, _>(9)? {
        Some(text) => serde_json::from_str(text).map_err(|error| damaged("data", error))?,
        None => BTreeMap::new(),
    };
    Ok(Step {
        id: row.try_get(0)?,
        journey: journey.to_owned(),
        topic: row.try_get(1)?,
        channel: row.try_get(2)?,
        step: row.try_get(3)?,
        label: row.try_get(4)?,
        ordinal: row.try_get(5)?,
        total: row.try_get(6)?,
        status: status_in(row, 7)?,
        reason: row.try_get(8)?,
        data,
        at: wall(row.try_get(10)?),
    })
}

fn identifier_in(row: &SqliteRow, at: usize) -> sqlx::Result<Identifier> {
    let name: &str = row.try_get(at)?;
    let kind = IdentifierKind::ALL.into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| damaged("kind", format!("{name:?} is no identifier")))?;
    Ok(Identifier { kind, value: Pii::new(row.try_get(at + 1)?) })
}

fn status_in(row: &SqliteRow, at: usize) -> sqlx::Result<Status> {
    let name: &str = row.try_get(at)?;
    let status = Status::ALL.into_iter().find(|status| status.name() == name);
    status.ok_or_else(|| damaged("status", format!("{name:?} is no status")))
}

fn parsed<T: std::str::FromStr>(row: &SqliteRow, at: usize) -> sqlx::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<&str, _>(at)?.parse().map_err(|error| damaged("id", error))
}

fn damaged(column: &str, what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: what.into() }
}

fn wall(millis: i64) -> Wall {
    Wall::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Times after the year 292 million are that.
pub(super) fn millis(wall: Wall) -> i64 {
    i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
}
