//! Durable steps: a finished step is never run twice.
//!
//! A [`Handler`] runs one attempt of a job. Inside it, [`Context::step`] runs
//! a piece of work and stores what it returned; a later attempt gets the
//! stored value instead of running the piece again. [`Context::fan_out`] does
//! the same for many items side by side, with a bound, and joins them in order;
//! [`Context::parts`] keeps what a long piece of work has done so far.
//!
//! [`Context::children`] spawns jobs and joins their results, [`Context::signal`]
//! gives a value from outside; a job that waits for either holds no slot.
//!
//! All this asks of the world is a [`Journal`].
//!
//! ```
//! use lovage_workflow::{Context, Failure, Payload};
//!
//! async fn greet(context: Context) -> Result<Payload, Failure> {
//!     let name: String = context.input()?;
//!     let greeting: String =
//!         context.step("greet", &name, || async { Ok(format!("hello, {name}")) }).await?;
//!     context.done(&greeting)
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let context = lovage_workflow::memory::context(&"world");
//! assert_eq!(greet(context).await.unwrap().as_str(), "\"hello, world\"");
//! # });
//! ```

pub mod cache;
mod children;
mod context;
mod error;
mod fan_out;
mod handler;
mod journal;
pub mod memory;
mod parts;
mod replay;
mod signal;
mod step;

pub use children::{ChildFailure, ChildResult, NewChild};
pub use context::{BlockingContext, Context, JobInfo};
pub use error::Failure;
pub use handler::{BlockingHandler, Handler, Handlers, Runner};
pub use journal::{Journal, JournalError};
pub use lovage_core::attempt::JobError;
pub use lovage_core::catalog::{Catalog, CatalogError, InputError, KindSpec};
pub use lovage_core::checkpoint::Checkpoint;
pub use lovage_core::clock::{Clock, SystemClock};
pub use lovage_core::error::BrokerError;
pub use lovage_core::estimate::{Estimate, Estimator, StepEstimate};
pub use lovage_core::event::NewEvent;
pub use lovage_core::id::{JobId, Kind};
pub use lovage_core::job::Child;
pub use lovage_core::job::{NewJob, Progress};
pub use lovage_core::limiter;
pub use lovage_core::payload::Payload;
pub use lovage_core::retry::Backoff;
pub use lovage_core::status::{Join, Status, WaitReason};
pub use parts::Parts;
