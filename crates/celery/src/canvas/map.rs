//! `celery.map` and `celery.starmap`: a task that calls another one per item.
//!
//! No job can run another kind within itself, so such a task is no job. Its
//! calls are: one after the other, as Celery makes them, each a job of the
//! called kind under an id derived from the task's and the item's place. The
//! first that fails is the task's failure and the last that is called; else
//! the results in order are the task's result.

use lovage_core::payload::Payload;
use serde::Deserialize;

use super::options::array;
use super::place::Place;
use crate::exception::Exception;
use crate::message::Task;
use crate::signature::Signature;

/// Calls a task with each item as its only argument.
pub(crate) const MAP: &str = "celery.map";
/// Calls a task with each item as its arguments.
pub(crate) const STARMAP: &str = "celery.starmap";
/// Items of one such task.
pub(crate) const ITEMS_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Arguments {
    task: Signature,
    it: Vec<Payload>,
}

/// The calls of a map or starmap in their order; none when the task is neither.
///
/// The first call waits for the task's eta and expires with it. The time limits
/// are those of each call. As with Celery, only the name of the called
/// signature counts.
///
/// # Errors
/// The exception that the task fails with, as Python would raise it.
pub(crate) fn calls(task: &Task) -> Option<Result<Vec<Task>, Exception>> {
    let star = match task.name.as_str() {
        MAP => false,
        STARMAP => true,
        _ => return None,
    };
    Some(read(task).and_then(|arguments| {
        let callee = arguments.task.task;
        let items = arguments.it.into_iter().enumerate();
        items
            .map(|(index, item)| call(task, &callee, index, item, star))
            .collect()
    }))
}

/// The result of a map whose calls had these.
pub(crate) fn gather(results: &[Payload]) -> Payload {
    array(results)
}

fn read(task: &Task) -> Result<Arguments, Exception> {
    let arguments: Arguments = task
        .kwargs
        .read()
        .map_err(|error| type_error(&format!("{} takes task and it: {error}", task.name)))?;
    if arguments.it.len() > ITEMS_MAX {
        let text = format!("{} of more than {ITEMS_MAX} items", task.name);
        return Err(Exception::new("builtins", "ValueError", &text));
    }
    Ok(arguments)
}

fn call(
    task: &Task,
    name: &str,
    index: usize,
    item: Payload,
    star: bool,
) -> Result<Task, Exception> {
    let args = if star { item } else { array(&[item]) };
    if !args.as_str().starts_with('[') {
        return Err(type_error(&format!(
            "item {index} of {STARMAP} is no list of arguments"
        )));
    }
    let first = index == 0;
    Ok(Task {
        id: Place::after(&task.id).at("item", index).id(),
        name: name.to_owned(),
        args_repr: super::message::shown(&args),
        args,
        kwargs: Payload::parse("{}").expect("an empty object is JSON"),
        kwargs_repr: "{}".to_owned(),
        eta: task.eta.filter(|_| first),
        expires: task.expires.filter(|_| first),
        expires_text: task.expires_text.clone().filter(|_| first),
        retries: 0,
        group: None,
        group_index: None,
        parent_id: Some(task.id.clone()),
        ignore_result: true,
        callbacks: Vec::new(),
        errbacks: Vec::new(),
        chain: Vec::new(),
        chord: None,
        ..task.clone()
    })
}

fn type_error(text: &str) -> Exception {
    Exception::new("builtins", "TypeError", text)
}
