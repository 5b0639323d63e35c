//! Groups: members that share an id and are sent at once.

use lovage_core::payload::Payload;

use super::options::string;
use super::place::Place;
use super::plan::{Origin, Planner, tuple};
use super::refusal::Refusal;
use crate::signature::Signature;

/// Options of a group that its members do not take over: they are the group's,
/// or each member has its own.
const OF_THE_GROUP: [&str; 6] = [
    "group_id",
    "group_index",
    "link",
    "link_error",
    "root_id",
    "parent_id",
];

impl Planner<'_> {
    pub(super) fn send_group(
        &mut self,
        mut group: Signature,
        members: Vec<Signature>,
        results: &[Payload],
        origin: &Origin,
        place: Place,
    ) -> Result<Payload, Refusal> {
        if !group.list("link")?.is_empty() {
            return Err(Refusal::Unsupported(
                "a callback of a group, other than a chord".to_owned(),
            ));
        }
        let errbacks = group.list("link_error")?;
        let id = group.read("task_id")?.unwrap_or_else(|| place.id());
        let counted_as = counted_as(&group, &id)?;
        if let Some(body) = chord(&group, &members) {
            group.set("chord", body);
        }
        for name in OF_THE_GROUP.into_iter().chain(["task_id"]) {
            group.take(name);
        }
        let mut tuples = Vec::with_capacity(members.len());
        for (index, mut member) in members.into_iter().enumerate() {
            member.take_over(&group);
            member.set_missing("group_id", &string(&counted_as));
            member.set("group_index", number(index));
            member.extend("link_error", &errbacks)?;
            tuples.push(self.send(member, results, origin, place.at("member", index))?);
        }
        // The size of a chord is never written here: who sent the chord has
        // counted these members, and a second number may be smaller.
        Ok(tuple(&id, Some(&tuples)))
    }
}

/// The id of the chord that counts the members: of the chord whose header ends
/// in the group, else the group's own.
fn counted_as(group: &Signature, id: &str) -> Result<String, Refusal> {
    let outer = if group.option("chord").is_some() {
        group.read("group_id")?
    } else {
        None
    };
    Ok(outer.unwrap_or_else(|| id.to_owned()))
}

/// The body that the members' results go to: the group's, or one that a
/// producer left with its members.
fn chord(group: &Signature, members: &[Signature]) -> Option<Payload> {
    group
        .option("chord")
        .or_else(|| members.iter().find_map(|member| member.option("chord")))
        .cloned()
}

/// A number as an option has it.
pub(super) fn number(value: usize) -> Payload {
    Payload::of(&value).expect("a number has a JSON form")
}
