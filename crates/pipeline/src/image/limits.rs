//! Every bound on images. Units are in the names or the types.

use crate::net::limits::IMAGE_BYTES_MAX;

/// Images of one job.
pub const IMAGES_MAX: usize = 10;
/// Images of one article.
pub const PER_ARTICLE_MAX: usize = 3;
/// Characters of a description that are kept.
pub const ALT_CHARS_MAX: usize = 300;

/// Pixels of an image as it comes.
pub const PIXELS_MAX: u64 = 40_000_000;
/// Least size as it comes: smaller ones are icons.
pub const WIDTH_MIN: u32 = 200;
/// Least size as it comes: smaller ones are icons.
pub const HEIGHT_MIN: u32 = 150;
/// The longer edge by the shorter one: beyond it are banners and rules.
pub const ASPECT_MAX: u32 = 4;
/// Bytes that one decoder may allocate.
pub const ALLOC_BYTES_MAX: u64 = 256 << 20;
/// Images being decoded at once in this process.
pub const DECODES_AT_ONCE: usize = 2;

/// Longest edge of an image that is kept, in pixels.
pub const EDGE_MAX: u32 = 1_024;
/// JPEG quality of an image that is kept, of 100.
pub const QUALITY: u8 = 80;

/// Images whose hashes differ in at most so many of 64 bits are the same picture.
pub const ALIKE_BITS_MAX: u32 = 5;

// The largest picture in eight-bit colours with transparency fits the decoder.
const _: () = assert!(PIXELS_MAX * 4 <= ALLOC_BYTES_MAX);
const _: () = assert!(IMAGE_BYTES_MAX as u64 <= ALLOC_BYTES_MAX);
const _: () = assert!(WIDTH_MIN <= EDGE_MAX && HEIGHT_MIN <= EDGE_MAX);
const _: () = assert!(PER_ARTICLE_MAX <= IMAGES_MAX);
