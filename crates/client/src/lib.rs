//! The public contract of the HTTP interface, and a caller.
//!
//! [`wire`] has every JSON shape that crosses HTTP; the server speaks the same
//! types. With the feature `http` (default), [`Client`] calls a server:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use lovage_client::{Client, wire::EnqueueRequest};
//! use std::time::Duration;
//!
//! let client = Client::new("http://127.0.0.1:8080", None)?;
//! let request = EnqueueRequest::new("script.generate", &serde_json::json!({"topic": "tides"}))?;
//! let job = client.enqueue(&request, Some("tides-1")).await?;
//! let job = client.wait(job.id, Duration::from_secs(300)).await?;
//! println!("{} is {}", job.id, job.state.as_str());
//! # Ok(())
//! # }
//! ```
//!
//! TLS needs a rustls crypto provider: the calling program installs one, such
//! as `rustls::crypto::ring`, before it makes a [`Client`].

#[cfg(feature = "http")]
mod error;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod limits;
#[cfg(feature = "http")]
mod queues;
#[cfg(feature = "http")]
mod sse;
#[cfg(feature = "http")]
mod watch;
pub mod wire;

#[cfg(feature = "http")]
pub use self::error::ClientError;
#[cfg(feature = "http")]
pub use self::http::{Client, JobResult, ListQuery};
