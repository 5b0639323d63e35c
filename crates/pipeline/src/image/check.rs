//! What a file says of itself, judged before it is decoded.

use std::io::Cursor;

use image::{ImageDecoder, ImageFormat, ImageReader, Limits};

use super::Unfit;
use super::limits::{ALLOC_BYTES_MAX, ASPECT_MAX, HEIGHT_MIN, PIXELS_MAX, WIDTH_MIN};

/// Formats whose decoders are built in.
const FORMATS: [ImageFormat; 4] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Gif,
];

/// A decoder that has read the header and nothing else, and is held to its bounds.
///
/// # Errors
/// Another format, a size beyond the bounds, or a header that cannot be read.
pub(super) fn opened(bytes: &[u8]) -> Result<impl ImageDecoder + '_, Unfit> {
    // The first bytes decide: names and content types are what a page says.
    let format = image::guess_format(bytes).map_err(|_| Unfit::Format)?;
    if !FORMATS.contains(&format) {
        return Err(Unfit::Format);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(ALLOC_BYTES_MAX);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    size(width, height)?;
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    Ok(decoder)
}

fn size(width: u32, height: u32) -> Result<(), Unfit> {
    if width < WIDTH_MIN || height < HEIGHT_MIN {
        return Err(Unfit::Small { width, height });
    }
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(Unfit::Large { width, height });
    }
    if width.max(height) > width.min(height).saturating_mul(ASPECT_MAX) {
        return Err(Unfit::Narrow { width, height });
    }
    Ok(())
}

/// Whether a JPEG ends before its picture does. Such a file still decodes, the
/// rest of it grey.
///
/// Inside the data of a scan a marker cannot stand by chance (ITU-T T.81,
/// B.1.1.5), so the last start of a scan is followed by the end of the image
/// or the file is not whole.
pub(super) fn is_cut_short(bytes: &[u8]) -> bool {
    const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    let is_jpeg = image::guess_format(bytes).is_ok_and(|format| format == ImageFormat::Jpeg);
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    is_jpeg && last(END_OF_IMAGE) < last(START_OF_SCAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_a_size_are_inside() {
        for (width, height) in [(200, 150), (800, 200), (200, 800), (8_000, 5_000)] {
            assert!(size(width, height).is_ok(), "{width}×{height}");
        }
        for (width, height) in [
            (199, 150),
            (200, 149),
            (801, 200),
            (200, 801),
            (8_001, 5_000),
        ] {
            assert!(size(width, height).is_err(), "{width}×{height}");
        }
    }
}
