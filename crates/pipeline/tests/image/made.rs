//! Files of images, made for tests.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// A picture of its own for each seed: fields of light and dark.
pub(crate) fn picture(width: u32, height: u32, seed: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| {
        let field = (x * 9 / width) + 9 * (y * 8 / height);
        let mixed = (field + 1)
            .wrapping_mul(2_654_435_761)
            .wrapping_mul(seed.wrapping_mul(2).wrapping_add(3));
        let light = (mixed >> 20) as u8;
        Rgb([light, light / 2, 255 - light])
    })
    .into()
}

/// The picture as a file.
pub(crate) fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG of a picture of its own.
pub(crate) fn jpeg(width: u32, height: u32, seed: u32) -> Vec<u8> {
    file(&picture(width, height, seed), ImageFormat::Jpeg)
}

/// The same picture in another quality, so that no byte is the same.
pub(crate) fn jpeg_of_quality(width: u32, height: u32, seed: u32, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    picture(width, height, seed)
        .write_with_encoder(encoder)
        .unwrap();
    bytes
}

/// A JPEG that says where it was taken, and that it lies on its side (EXIF 2.3, TIFF 6.0).
pub(crate) fn jpeg_with_exif(width: u32, height: u32, place: &str) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x02\0".to_vec();
    let mut entry = |tag: u16, kind: u16, count: u32, value: u32| {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(kind.to_le_bytes());
        tiff.extend(count.to_le_bytes());
        tiff.extend(value.to_le_bytes());
    };
    let text_at = 8 + 2 + 2 * 12 + 4;
    entry(0x010e, 2, place.len() as u32, text_at); // description: text
    entry(0x0112, 3, 1, 6); // orientation: turn right
    tiff.extend([0; 4]);
    tiff.extend(place.as_bytes());
    let plain = jpeg(width, height, 5);
    let mut bytes = plain[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend((2 + 6 + tiff.len() as u16).to_be_bytes());
    bytes.extend(b"Exif\0\0");
    bytes.extend(tiff);
    bytes.extend(&plain[2..]);
    bytes
}

/// A PNG whose header promises a size, and which holds little more than that.
pub(crate) fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = file(&picture(300, 200, 1), ImageFormat::Png);
    // Signature, length, then "IHDR" and its 13 bytes, then their checksum.
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// ISO 3309, as PNG asks for.
fn crc32(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    };
    !bytes.iter().fold(!0, byte)
}
