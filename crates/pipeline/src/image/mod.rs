//! Images of articles: which to fetch, which are fit to be kept, and in what form.
//!
//! A file behind an address that some page names is a stranger's. It is judged
//! by its first bytes and its header before anything is decoded, and what is
//! kept is drawn anew: nothing of the file itself, such as where a photo was
//! taken, is stored or shown.

mod candidate;
mod check;
mod kept;
pub mod limits;
mod shrink;
mod similar;

pub use candidate::{Candidate, candidates};
pub use kept::Kept;
pub use similar::repeats;

use image::ImageError;
use tokio::sync::Semaphore;
use url::Url;

use crate::net::{Fetch, FetchError, Origin, Request, Want};
use limits::{ASPECT_MAX, DECODES_AT_ONCE, HEIGHT_MIN, PIXELS_MAX, WIDTH_MIN};

/// Decoding takes memory and time of the whole process, whoever asks for it.
static DECODES: Semaphore = Semaphore::const_new(DECODES_AT_ONCE);

/// Why an image is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server answered with something else.
    #[error("http status {0}")]
    Status(u16),
    /// Its first bytes are not those of a JPEG, PNG, WebP or GIF, whatever it is called.
    #[error("not a JPEG, PNG, WebP or GIF")]
    Format,
    /// An icon or a tracking pixel.
    #[error("{width}×{height} is smaller than {WIDTH_MIN}×{HEIGHT_MIN}")]
    Small {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Larger than a picture for a page needs to be, or built to fill memory.
    #[error("{width}×{height} is more than {PIXELS_MAX} pixels")]
    Large {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// A banner or a rule.
    #[error("{width}×{height} is longer than {ASPECT_MAX} to 1")]
    Narrow {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// It cannot be decoded inside the bounds.
    #[error("cannot be decoded: {0}")]
    Decode(#[from] ImageError),
    /// The decoder gave up with a panic.
    #[error("the decoder stopped")]
    Stopped,
}

/// Fetches an image, whose address `origin` has named, and makes it fit to be
/// kept.
///
/// Dropping the future stops the download; an image being decoded is finished
/// unseen, still counted among those decoded at once.
///
/// # Errors
/// Why it is not used. Trying again helps with a [`FetchError`] at most.
pub async fn fetch(door: &dyn Fetch, url: &Url, origin: Origin) -> Result<Kept, Unfit> {
    let request = Request::named_by(origin, url.clone(), Want::Image);
    let page = door.send(&request).await?;
    if !(200..300).contains(&page.status) {
        return Err(Unfit::Status(page.status));
    }
    let turn = DECODES
        .acquire()
        .await
        .expect("the semaphore is never closed");
    let shrunk = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        shrink::shrink(&page.body)
    });
    shrunk.await.unwrap_or(Err(Unfit::Stopped))
}
