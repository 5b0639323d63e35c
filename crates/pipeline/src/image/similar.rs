//! Which images show the same picture.

use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};

use super::Kept;
use super::limits::ALIKE_BITS_MAX;

/// Difference hash: in eight rows of nine grey fields, whether each field is
/// darker than the next (Krawetz, "Kind of Like That", 2013).
pub(super) fn look(pixels: &RgbImage) -> u64 {
    let grey = DynamicImage::ImageRgb8(pixels.clone()).into_luma8();
    let small = imageops::resize(&grey, 9, 8, FilterType::Triangle);
    let fields = (0..8).flat_map(|y| (0..8).map(move |x| (x, y)));
    fields.fold(0, |look, (x, y)| {
        let darker = small.get_pixel(x, y).0[0] < small.get_pixel(x + 1, y).0[0];
        look << 1 | u64::from(darker)
    })
}

/// For each image the place of the first earlier one that shows the same: the
/// same bytes, or a look that differs in at most [`ALIKE_BITS_MAX`] of 64 bits.
pub fn repeats(images: &[&Kept]) -> Vec<Option<usize>> {
    let same = |a: &Kept, b: &Kept| {
        a.sha256 == b.sha256 || (a.look ^ b.look).count_ones() <= ALIKE_BITS_MAX
    };
    let earlier = |(place, image): (usize, &&Kept)| {
        let mut before = images[..place].iter();
        before.position(|other| same(other, image))
    };
    images.iter().enumerate().map(earlier).collect()
}
