//! Chains: the first step is sent, the others travel with it.

use lovage_core::payload::Payload;

use super::options::{array, items};
use super::place::Place;
use super::plan::{Origin, Planner};
use super::refusal::Refusal;
use super::shape::{no_steps, steps};
use crate::signature::Signature;

/// Options of a chain that are its last step's.
const OF_THE_LAST: [&str; 4] = ["task_id", "group_id", "group_index", "chord"];

impl Planner<'_> {
    pub(super) fn send_chain(
        &mut self,
        mut chain: Signature,
        results: &[Payload],
        origin: &Origin,
        place: Place,
    ) -> Result<Payload, Refusal> {
        let mut steps = steps(&chain)?;
        hand_down(&mut chain, &mut steps)?;
        // The next step stands last; what follows the chain comes after its own steps.
        let mut rest = match chain.take("chain") {
            Some(rest) => items(&rest, "chain")?,
            None => Vec::new(),
        };
        let mut steps = steps.into_iter();
        let mut first = steps.next().ok_or_else(no_steps)?;
        rest.extend(
            steps
                .rev()
                .map(|step| Payload::of(&step).expect("a signature has a JSON form")),
        );
        first.take_over(&chain);
        if !rest.is_empty() {
            first.set("chain", array(&rest));
        }
        self.send(first, results, origin, place)
    }
}

/// Gives a chain's options to the steps that they are meant for. What is left
/// is the first step's.
fn hand_down(chain: &mut Signature, steps: &mut [Signature]) -> Result<(), Refusal> {
    let errbacks = take_list(chain, "link_error")?;
    let callbacks = take_list(chain, "link")?;
    for step in &mut *steps {
        step.extend("link_error", &errbacks)?;
    }
    let last = steps.last_mut().ok_or_else(no_steps)?;
    last.extend("link", &callbacks)?;
    for name in OF_THE_LAST {
        let Some(value) = chain.take(name) else {
            continue;
        };
        if name == "chord" {
            last.set(name, value);
        } else {
            last.set_missing(name, &value);
        }
    }
    Ok(())
}

fn take_list(signature: &mut Signature, name: &str) -> Result<Vec<Payload>, Refusal> {
    let list = signature.list(name)?;
    signature.take(name);
    Ok(list)
}
