//! From a checked file to the image that is kept.

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, RgbImage};

use super::limits::{EDGE_MAX, QUALITY};
use super::{Kept, Unfit, check, similar};
use crate::digest::sha256_hex;

/// Checks, decodes, shrinks and draws an image anew. Takes up to a second of
/// computing: not for the async loop.
pub(super) fn shrink(bytes: &[u8]) -> Result<Kept, Unfit> {
    let mut decoder = check::opened(bytes)?;
    // Which way is up stands beside the pixels and would be lost with the rest.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    if image.width().max(image.height()) > EDGE_MAX {
        image = image.thumbnail(EDGE_MAX, EDGE_MAX);
    }
    image.apply_orientation(orientation);
    let pixels = on_white(&image);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&pixels)?;
    Ok(Kept {
        width: pixels.width(),
        height: pixels.height(),
        sha256: sha256_hex(&jpeg),
        look: similar::look(&pixels),
        truncated: check::is_cut_short(bytes),
        jpeg: jpeg.into(),
    })
}

/// JPEG has no transparency: what was see-through becomes paper.
fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let image = image.to_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0;
        let over = |colour: u8| {
            let (colour, alpha) = (u32::from(colour), u32::from(alpha));
            // At most 255: a weighted mean of the colour and 255.
            ((colour * alpha + 255 * (255 - alpha)) / 255) as u8
        };
        image::Rgb([over(red), over(green), over(blue)])
    })
}
