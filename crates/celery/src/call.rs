//! From a task to the input of a kind.

use lovage_core::payload::Payload;

use crate::config::Shape;
use crate::message::Task;

/// The input that `shape` makes of the task's arguments.
///
/// # Errors
/// As a Python `TypeError` would say it: too many arguments, or one twice.
pub(crate) fn input(task: &Task, shape: &Shape) -> Result<Payload, String> {
    let _ = (task, shape);
    todo!("codec")
}
