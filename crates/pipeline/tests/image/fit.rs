//! Which files are fit, and what is kept of them. The files come from a server
//! on loopback, through the guarded client.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use image::{DynamicImage, GenericImageView, ImageFormat, Rgba, RgbaImage};
use lovage_pipeline::image::{Kept, Unfit, fetch, repeats};
use lovage_pipeline::net::client::Timeouts;
use lovage_pipeline::net::limits::IMAGE_BYTES_MAX;
use lovage_pipeline::net::{ClientSettings, FetchError, GuardedClient, Origin};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use crate::made::{file, jpeg, jpeg_of_quality, jpeg_with_exif, picture, png_that_claims};

/// Serves one answer; stops with the test.
struct Server {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What becomes of this answer to a request for an image.
async fn fetched(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> Result<Kept, Unfit> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().route("/a.jpg", get(move || async move { answer() }));
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let server = Server { addr, task };
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = GuardedClient::new(&ClientSettings {
        trusted_hosts: vec![server.addr.to_string()],
        timeouts: Timeouts {
            total: Duration::from_secs(2),
            ..Timeouts::default()
        },
        ..ClientSettings::new("https://operator.example/contact")
    });
    let url: Url = format!("http://{addr}/a.jpg").parse().unwrap();
    fetch(&client.unwrap(), &url, Origin::Operator).await
}

async fn file_of(content_type: &'static str, bytes: Vec<u8>) -> Result<Kept, Unfit> {
    fetched(move || ([(header::CONTENT_TYPE, content_type)], bytes.clone()).into_response()).await
}

#[tokio::test]
async fn what_is_no_fit_image_is_refused_by_its_first_bytes_or_its_header() {
    const HTML: &[u8] = b"<!doctype html><script>alert(1)</script>";
    const SVG: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    let wide = file(&picture(1_000, 200, 1), ImageFormat::Png);
    let cases: [(&str, &str, Vec<u8>, &str); 11] = [
        (
            "html",
            "text/html",
            HTML.to_vec(),
            "unexpected content type",
        ),
        ("html as jpg", "image/jpeg", HTML.to_vec(), "not a JPEG"),
        ("svg", "image/svg+xml", SVG.to_vec(), "not a JPEG"),
        ("svg as png", "image/png", SVG.to_vec(), "not a JPEG"),
        (
            "bmp",
            "image/bmp",
            b"BM\0\0\0\0\0\0\0\0".to_vec(),
            "not a JPEG",
        ),
        ("empty", "image/jpeg", Vec::new(), "not a JPEG"),
        (
            "tiny",
            "image/gif",
            file(&picture(1, 1, 1), ImageFormat::Gif),
            "smaller than",
        ),
        ("banner", "image/png", wide, "longer than 4 to 1"),
        (
            "bomb",
            "image/png",
            png_that_claims(20_000, 20_000),
            "more than 40000000 pixels",
        ),
        (
            "lie",
            "image/png",
            png_that_claims(5_000, 5_000),
            "cannot be decoded",
        ),
        (
            "header only",
            "image/jpeg",
            jpeg(300, 200, 1)[..20].to_vec(),
            "cannot be decoded",
        ),
    ];
    for (name, content_type, bytes, why) in cases {
        let unfit = file_of(content_type, bytes).await.expect_err(name);
        assert!(unfit.to_string().contains(why), "{name}: {unfit}");
    }
}

#[tokio::test]
async fn answers_without_an_image_are_refused() {
    let missing = fetched(|| StatusCode::NOT_FOUND.into_response()).await;
    assert!(matches!(missing, Err(Unfit::Status(404))), "{missing:?}");
    for private in [
        "http://169.254.169.254/a.jpg",
        "http://127.0.0.1:1/a.jpg",
        "file:///etc/passwd",
    ] {
        let redirected = fetched(move || Redirect::temporary(private).into_response()).await;
        let refused = matches!(redirected, Err(Unfit::Fetch(FetchError::Refused(_))));
        assert!(refused, "{private}: {redirected:?}");
    }
    let huge = file_of("image/jpeg", vec![0xff; IMAGE_BYTES_MAX + 1]).await;
    let refused = matches!(
        huge,
        Err(Unfit::Fetch(FetchError::TooLarge(IMAGE_BYTES_MAX)))
    );
    assert!(refused, "{huge:?}");
    let slow = fetched(|| {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        (
            [(header::CONTENT_TYPE, "image/jpeg")],
            Body::from_stream(never),
        )
            .into_response()
    });
    let slow = slow.await;
    assert!(
        matches!(slow, Err(Unfit::Fetch(FetchError::Timeout(2)))),
        "{slow:?}"
    );
}

#[tokio::test]
async fn every_format_becomes_a_small_jpeg() {
    for (format, content_type) in [
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::Png, "image/png"),
        (ImageFormat::WebP, "image/webp"),
        (ImageFormat::Gif, "image/gif"),
        // What a page says of a file is no reason.
        (ImageFormat::Png, "image/jpeg"),
    ] {
        let kept = file_of(content_type, file(&picture(1_600, 400, 3), format))
            .await
            .unwrap();
        assert_eq!((kept.width, kept.height), (1_024, 256), "{format:?}");
        assert!(!kept.truncated);
        let drawn = image::load_from_memory_with_format(&kept.jpeg, ImageFormat::Jpeg).unwrap();
        assert_eq!(drawn.dimensions(), (1_024, 256));
        let stored = serde_json::to_value(&kept).unwrap();
        assert_eq!(serde_json::from_value::<Kept>(stored).unwrap(), kept);
    }
    let small = file_of("image/jpeg", jpeg(300, 200, 3)).await.unwrap();
    assert_eq!(
        (small.width, small.height),
        (300, 200),
        "nothing is blown up"
    );
}

#[tokio::test]
async fn nothing_of_the_file_itself_is_kept() {
    let place = "37.5665 N, 126.9780 E\0";
    let original = jpeg_with_exif(400, 200, place);
    let told = |bytes: &[u8], what: &str| {
        bytes
            .windows(what.len())
            .any(|some| some == what.as_bytes())
    };
    assert!(told(&original, "Exif") && told(&original, "126.9780"));
    let kept = file_of("image/jpeg", original).await.unwrap();
    assert!(!told(&kept.jpeg, "Exif") && !told(&kept.jpeg, "126.9780"));
    assert_eq!(
        (kept.width, kept.height),
        (200, 400),
        "it was turned before it forgot which way is up"
    );
}

#[tokio::test]
async fn what_is_see_through_becomes_paper() {
    let glass = RgbaImage::from_pixel(300, 200, Rgba([0, 0, 0, 0]));
    let png = file(&DynamicImage::from(glass), ImageFormat::Png);
    let kept = file_of("image/png", png).await.unwrap();
    let drawn = image::load_from_memory(&kept.jpeg).unwrap();
    assert_eq!(drawn.get_pixel(150, 100), Rgba([255; 4]));
}

#[tokio::test]
async fn a_jpeg_that_ends_early_is_kept_and_flagged() {
    let whole = jpeg(400, 300, 4);
    let kept = file_of("image/jpeg", whole[..whole.len() / 2].to_vec())
        .await
        .unwrap();
    assert!(kept.truncated);
    assert_eq!((kept.width, kept.height), (400, 300));
    let mut followed = whole;
    followed.extend(b"what some cameras write behind a picture");
    assert!(!file_of("image/jpeg", followed).await.unwrap().truncated);
}

#[tokio::test]
async fn the_same_picture_is_known_in_another_size_and_quality() {
    let mut kept = Vec::new();
    for bytes in [
        jpeg(400, 300, 1),
        jpeg(400, 300, 2),
        jpeg(400, 300, 1),
        jpeg_of_quality(300, 225, 2, 60),
        jpeg(400, 300, 3),
    ] {
        kept.push(file_of("image/jpeg", bytes).await.unwrap());
    }
    let kept: Vec<&Kept> = kept.iter().collect();
    assert_eq!(repeats(&kept), [None, None, Some(0), Some(1), None]);
}
