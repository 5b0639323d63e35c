//! Chords: the members of the header are sent, and the body travels with them.

use lovage_core::payload::Payload;

use super::group::number;
use super::options::{array, read, string};
use super::place::Place;
use super::plan::{Origin, Planner, Step, tuple};
use super::refusal::Refusal;
use super::shape::{Shape, header, result_id, width};
use crate::signature::Signature;

impl Planner<'_> {
    pub(super) fn send_chord(
        &mut self,
        chord: Signature,
        results: &[Payload],
        origin: &Origin,
        place: Place,
    ) -> Result<Payload, Refusal> {
        let members = header(chord.part("header")?)?;
        let mut body = body(&chord, place)?;
        if members.is_empty() {
            return self.send(body, &[array(&[])], origin, place.at("body", 0));
        }
        let group = group_id(&chord)?.unwrap_or_else(|| place.id());
        // As Celery has it, the body's result names its header.
        body.set_missing("group_id", &string(&group));
        let mut size = 0;
        for member in &members {
            size += width(member)?;
        }
        self.push(Step::Size {
            group: group.clone(),
            size,
        })?;
        let shared = Shared {
            group: string(&group),
            body: Payload::of(&body).expect("a signature has a JSON form"),
            kwargs: chord.kwargs.get("kwargs").cloned(),
        };
        let mut tuples = Vec::with_capacity(members.len());
        for (index, member) in members.into_iter().enumerate() {
            let member = shared.member(member, index)?;
            tuples.push(self.send(member, results, origin, place.at("header", index))?);
        }
        Ok(tuple(&group, Some(&tuples)))
    }
}

/// What all members of a header have.
struct Shared {
    group: Payload,
    body: Payload,
    kwargs: Option<Payload>,
}

impl Shared {
    fn member(&self, mut member: Signature, index: usize) -> Result<Signature, Refusal> {
        if let Some(kwargs) = &self.kwargs
            && member.shape()? == Shape::Task
        {
            member
                .kwargs
                .extend(read::<std::collections::BTreeMap<_, _>>(kwargs, "kwargs")?);
        }
        member.set_missing("group_id", &self.group);
        member.set("group_index", number(index));
        // Producers before Celery 5.7 leave an older copy of the body here.
        member.set("chord", self.body.clone());
        Ok(member)
    }
}

/// The id that the parts of a chord are counted under, where it has one.
fn group_id(chord: &Signature) -> Result<Option<String>, Refusal> {
    let header = chord.part("header")?;
    if header.as_str().starts_with('[') {
        return Ok(None);
    }
    read::<Signature>(header, "header")?.read("task_id")
}

/// The body of a chord, with an id, and with what encloses the chord: a chord
/// or a chain around it goes on after the body.
pub(super) fn body(chord: &Signature, place: Place) -> Result<Signature, Refusal> {
    let mut body = chord.body()?;
    for name in ["chord", "group_index", "chain"] {
        if let Some(value) = chord.option(name) {
            body.set(name, value.clone());
        }
    }
    if let Some(group) = chord.option("group_id") {
        body.set_missing("group_id", group);
    }
    body.extend("link", &chord.list("link")?)?;
    body.extend("link_error", &chord.list("link_error")?)?;
    let id = result_id(&body)?.unwrap_or_else(|| place.at("body", 0).id());
    body.set("task_id", string(&id));
    Ok(body)
}
