//! Finished steps' values: fields of the job's state hash.
//!
//! Field `c:<occurrence>:<step>`, value `<place> <fingerprint bytes> <fingerprint><value>`.

use std::collections::HashMap;

use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::NewEvent;
use lovage_core::id::JobId;
use lovage_core::lease::Lease;
use lovage_core::limits;
use lovage_core::payload::Payload;

use crate::connect::Store;
use crate::error::corrupt;

impl Store {
    pub(crate) async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        let got = checkpoint.value.as_str().len();
        if got > limits::CHECKPOINT_BYTES_MAX {
            return Err(BrokerError::TooLarge {
                what: "a checkpoint",
                got,
                max: limits::CHECKPOINT_BYTES_MAX,
            });
        }
        self.append(lease, Some(checkpoint), events).await
    }

    pub(crate) async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        let Some(queue) = self.locate(id).await? else {
            return Ok(Vec::new());
        };
        if self.current(&queue, id, false).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut ask = redis::pipe();
        ask.hgetall(self.keys.state(&queue, *id));
        let (fields,): (HashMap<String, String>,) = self.send(&ask).await?;
        let mut kept = fields
            .iter()
            .filter(|(field, _)| field.starts_with("c:"))
            .map(|(field, value)| {
                read(field, value)
                    .ok_or_else(|| corrupt(format!("checkpoint {field:?} of job {id}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        kept.sort_unstable_by_key(|(place, _)| *place);
        Ok(kept.into_iter().map(|(_, checkpoint)| checkpoint).collect())
    }
}

pub(crate) fn field(checkpoint: &Checkpoint) -> String {
    field_of(&checkpoint.step, checkpoint.occurrence)
}

/// The field of a step's value.
pub(crate) fn field_of(step: &str, occurrence: u32) -> String {
    format!("c:{occurrence}:{step}")
}

/// The value without its place, which the script puts in front.
pub(crate) fn value(checkpoint: &Checkpoint) -> String {
    let fingerprint = &checkpoint.fingerprint;
    let length = fingerprint.len();
    format!("{length} {fingerprint}{}", checkpoint.value.as_str())
}

fn read(field: &str, value: &str) -> Option<(u64, Checkpoint)> {
    let (occurrence, step) = field.strip_prefix("c:")?.split_once(':')?;
    let (place, rest) = value.split_once(' ')?;
    let (length, rest) = rest.split_once(' ')?;
    let (fingerprint, value) = rest.split_at_checked(length.parse().ok()?)?;
    let checkpoint = Checkpoint {
        step: step.to_owned(),
        occurrence: occurrence.parse().ok()?,
        fingerprint: fingerprint.to_owned(),
        value: Payload::parse(value).ok()?,
    };
    Some((place.parse().ok()?, checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_as_written() {
        let checkpoint = Checkpoint {
            step: "plan: 계획".into(),
            occurrence: 7,
            fingerprint: "a b".into(),
            value: Payload::parse("{ \"x\": [1] }").unwrap(),
        };
        let stored = format!("12 {}", value(&checkpoint));
        assert_eq!(read(&field(&checkpoint), &stored), Some((12, checkpoint)));
        assert_eq!(read("c:x:y", "1 2 z"), None);
    }
}
