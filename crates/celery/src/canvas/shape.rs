//! What a signature is made of.

use lovage_core::payload::Payload;

use super::options::{items, read};
use super::refusal::Refusal;
use crate::signature::Signature;

/// How deep signatures may be nested.
pub(super) const DEPTH_MAX: usize = 64;

/// The kinds of signature that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One task.
    Task,
    /// `celery.map` or `celery.starmap`: one task, to which no result is given.
    Map,
    /// A group of starmaps.
    Chunks,
    /// Steps, each given the result of the one before.
    Chain,
    /// Members, independent of each other.
    Group,
    /// A header whose results are given to a body.
    Chord,
}

impl Signature {
    /// What it is.
    pub(super) fn shape(&self) -> Result<Shape, Refusal> {
        match self.subtask_type.as_deref() {
            None => Ok(Shape::Task),
            Some("xmap" | "xstarmap") => Ok(Shape::Map),
            Some("chunks") => Ok(Shape::Chunks),
            Some("chain") => Ok(Shape::Chain),
            Some("group") => Ok(Shape::Group),
            Some("chord") => Ok(Shape::Chord),
            Some(other) => Err(Refusal::Unsupported(format!("a signature of type {other}"))),
        }
    }

    fn is(&self, shape: Shape) -> bool {
        self.shape() == Ok(shape)
    }

    /// A part that it must have.
    pub(super) fn part(&self, name: &str) -> Result<&Payload, Refusal> {
        self.kwargs.get(name).ok_or_else(|| {
            Refusal::Malformed(format!("a signature of {} without {name}", self.task))
        })
    }

    /// The steps of a chain or the members of a group, as they stand in it.
    pub(super) fn tasks(&self) -> Result<Vec<Self>, Refusal> {
        read(self.part("tasks")?, "tasks")
    }

    /// The body of a chord.
    pub(super) fn body(&self) -> Result<Self, Refusal> {
        read(self.part("body")?, "body")
    }

    /// The last step of a chain.
    pub(super) fn last(&self) -> Result<Self, Refusal> {
        self.tasks()?.pop().ok_or_else(no_steps)
    }
}

/// A chain needs a step: nothing would ever be there under its id.
pub(super) fn no_steps() -> Refusal {
    Refusal::Malformed("a chain without steps".to_owned())
}

/// Signatures as they stand under a name: one, or a list.
pub(super) fn signatures(value: &Payload, name: &str) -> Result<Vec<Signature>, Refusal> {
    items(value, name)?
        .iter()
        .map(|item| read(item, name))
        .collect()
}

/// The steps of a chain: chains within it are spliced in, and a group that is
/// followed by a step is a chord.
pub(super) fn steps(chain: &Signature) -> Result<Vec<Signature>, Refusal> {
    let mut steps = Vec::new();
    splice(chain, 0, &mut steps)?;
    Ok(steps)
}

fn splice(chain: &Signature, depth: usize, steps: &mut Vec<Signature>) -> Result<(), Refusal> {
    let depth = deeper(depth)?;
    for task in chain.tasks()? {
        if task.is(Shape::Chain) {
            splice(&task, depth, steps)?;
        } else {
            append(steps, task);
        }
    }
    Ok(())
}

fn append(steps: &mut Vec<Signature>, step: Signature) {
    match steps.pop() {
        Some(group) if group.is(Shape::Group) => steps.push(chord(&group, &step)),
        Some(other) => steps.extend([other, step]),
        None => steps.push(step),
    }
}

fn chord(header: &Signature, body: &Signature) -> Signature {
    let part = |signature| Payload::of(signature).expect("a signature has a JSON form");
    Signature {
        task: "celery.chord".to_owned(),
        args: Vec::new(),
        kwargs: [
            ("header".to_owned(), part(header)),
            ("body".to_owned(), part(body)),
        ]
        .into(),
        options: Default::default(),
        subtask_type: Some("chord".to_owned()),
        immutable: false,
        others: Default::default(),
    }
}

/// The members of a group, those of groups within it in their place.
pub(super) fn members(group: &Signature) -> Result<Vec<Signature>, Refusal> {
    flat(group.tasks()?, 0)
}

/// The members of a chord's header, which is a group, a chain of them, a list
/// or one task.
pub(super) fn header(header: &Payload) -> Result<Vec<Signature>, Refusal> {
    let mut tasks = signatures(header, "header")?;
    if !header.as_str().starts_with('[')
        && let [only] = tasks.as_slice()
        && (only.is(Shape::Group) || only.is(Shape::Chain))
    {
        tasks = only.tasks()?;
    }
    flat(tasks, 0)
}

fn flat(tasks: Vec<Signature>, depth: usize) -> Result<Vec<Signature>, Refusal> {
    let depth = deeper(depth)?;
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        if task.is(Shape::Group) {
            all.extend(flat(task.tasks()?, depth)?);
        } else {
            all.push(task);
        }
    }
    Ok(all)
}

/// How many parts a member of a chord's header has: ends that are counted.
pub(super) fn width(member: &Signature) -> Result<u64, Refusal> {
    width_at(member, 0)
}

fn width_at(member: &Signature, depth: usize) -> Result<u64, Refusal> {
    let depth = deeper(depth)?;
    match member.shape()? {
        Shape::Task | Shape::Map => Ok(1),
        Shape::Chunks => Ok(chunks(member)?.len() as u64),
        Shape::Group => members(member)?
            .iter()
            .map(|task| width_at(task, depth))
            .sum(),
        Shape::Chord => width_at(&member.body()?, depth),
        Shape::Chain => {
            for step in member.tasks()?.iter().rev() {
                let width = width_at(step, depth)?;
                if width > 0 {
                    return Ok(width);
                }
            }
            Ok(0)
        }
    }
}

/// The starmaps that chunks are.
pub(super) fn chunks(signature: &Signature) -> Result<Vec<Signature>, Refusal> {
    let size: usize = read(signature.part("n")?, "n")?;
    let items: Vec<Payload> = read(signature.part("it")?, "it")?;
    if size == 0 {
        return Err(Refusal::Malformed("chunks of no items".to_owned()));
    }
    let task = signature.part("task")?;
    Ok(items
        .chunks(size)
        .map(|chunk| starmap(task, chunk))
        .collect())
}

fn starmap(task: &Payload, items: &[Payload]) -> Signature {
    Signature {
        task: super::map::STARMAP.to_owned(),
        args: Vec::new(),
        kwargs: [
            ("task".to_owned(), task.clone()),
            ("it".to_owned(), super::options::array(items)),
        ]
        .into(),
        options: Default::default(),
        subtask_type: Some("xstarmap".to_owned()),
        immutable: true,
        others: Default::default(),
    }
}

/// The id whose result stands for the whole signature, where it has one.
pub(super) fn result_id(signature: &Signature) -> Result<Option<String>, Refusal> {
    result_id_at(signature, 0)
}

fn result_id_at(signature: &Signature, depth: usize) -> Result<Option<String>, Refusal> {
    let depth = deeper(depth)?;
    let inner = match signature.shape()? {
        Shape::Chain => result_id_at(&signature.last()?, depth)?,
        Shape::Chord => result_id_at(&signature.body()?, depth)?,
        Shape::Task | Shape::Map | Shape::Chunks | Shape::Group => None,
    };
    inner.map_or_else(|| signature.read("task_id"), |id| Ok(Some(id)))
}

/// One level more, where that many are allowed.
pub(super) fn deeper(depth: usize) -> Result<usize, Refusal> {
    if depth < DEPTH_MAX {
        Ok(depth + 1)
    } else {
        Err(Refusal::TooDeep(DEPTH_MAX))
    }
}
