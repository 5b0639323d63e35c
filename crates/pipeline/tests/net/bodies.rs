//! Answers that are too large, too slow or not what they say, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What a server does after it has said its piece.
#[derive(Clone, Copy)]
enum Then {
    /// Closes the connection.
    Close,
    /// Says nothing more, and keeps the connection.
    Hold,
    /// Says this again and again, with a pause after each.
    Repeat(&'static [u8], Duration),
    /// Says this again and again, as fast as it is taken.
    Flood(&'static [u8]),
}

/// A server that says exactly these bytes to whoever asks.
struct Raw {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Raw {
    async fn start(said: impl Into<Vec<u8>>, then: Then) -> Self {
        let said: Arc<[u8]> = said.into().into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut calls = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let said = Arc::clone(&said);
                calls.spawn(async move {
                    let mut request = [0; 4_096];
                    // Whoever hangs up early is done.
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(&said).await;
                    match then {
                        Then::Close => {}
                        Then::Hold => std::future::pending().await,
                        Then::Flood(piece) => {
                            let piece = piece.repeat(1_000);
                            while stream.write_all(&piece).await.is_ok() {}
                        }
                        Then::Repeat(piece, pause) => {
                            while stream.write_all(piece).await.is_ok() {
                                tokio::time::sleep(pause).await;
                            }
                        }
                    }
                });
            }
        });
        Self { addr, task }
    }

    async fn fetched(&self, timeouts: Timeouts) -> Result<Page, FetchError> {
        let settings = ClientSettings {
            timeouts,
            ..settings(&[self.addr])
        };
        let client = GuardedClient::new(&settings).unwrap();
        asked(&client, url(&format!("http://{}/", self.addr)), Want::Html).await
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    read: Duration::from_secs(30),
    total: Duration::from_secs(60),
};
/// Silence is what ends a read.
const READ_1_S: Timeouts = Timeouts {
    read: Duration::from_secs(1),
    ..PATIENT
};
/// Nothing but the time for all ends it.
const TOTAL_1_S: Timeouts = Timeouts {
    total: Duration::from_secs(1),
    ..PATIENT
};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";

/// One chunk of 32 letters.
const CHUNK: &[u8] = b"20\r\n0123456789abcdef0123456789abcdef\r\n";

fn answer(more: &str, body: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), more.as_bytes(), b"\r\n", body].concat()
}

#[tokio::test]
async fn packed_bombs_are_counted_unpacked() {
    // 20 MB in each member, 120 MB in all.
    let gzip = include_bytes!("../fixtures/zeros.gz").repeat(6);
    // 120 MB in a hundred bytes or so.
    let brotli = include_bytes!("../fixtures/zeros.br").to_vec();
    for (encoding, packed) in [("gzip", gzip), ("br", brotli)] {
        for length in [true, false] {
            let announced = format!(
                "content-encoding: {encoding}\r\n{}",
                if length {
                    format!("content-length: {}\r\n", packed.len())
                } else {
                    String::new()
                }
            );
            let raw = Raw::start(answer(&announced, &packed), Then::Close).await;
            let got = raw.fetched(PATIENT).await;
            assert_eq!(got, Err(FetchError::TooLarge(HTML_BYTES_MAX)), "{encoding}");
        }
    }
}

#[tokio::test]
async fn a_bomb_in_a_bomb_is_unpacked_once_at_most() {
    let nested = include_bytes!("../fixtures/zeros.gz.gz");
    for encoding in ["gzip", "gzip, gzip", "br, gzip"] {
        let announced = format!("content-encoding: {encoding}\r\n");
        let raw = Raw::start(answer(&announced, nested), Then::Close).await;
        match raw.fetched(PATIENT).await {
            Ok(page) => assert!(page.body.len() <= HTML_BYTES_MAX, "{encoding}"),
            Err(error) => assert!(
                matches!(error, FetchError::TooLarge(_) | FetchError::Network(_)),
                "{encoding}: {error:?}"
            ),
        }
    }
}

#[tokio::test]
async fn what_is_not_packed_as_it_says_is_a_network_error() {
    for encoding in ["gzip", "br"] {
        let announced = format!("content-encoding: {encoding}\r\n");
        let raw = Raw::start(answer(&announced, b"<p>plain</p>"), Then::Close).await;
        let got = raw.fetched(PATIENT).await;
        assert!(matches!(got, Err(FetchError::Network(_))), "{got:?}");
    }
}

#[tokio::test]
async fn a_length_that_is_wrong_is_not_believed() {
    type Expected = fn(&Result<Page, FetchError>) -> bool;
    let cases: [(&str, &[u8], Expected); 5] = [
        // Less comes than was announced.
        ("content-length: 100\r\n", b"short", |got| {
            matches!(got, Err(FetchError::Network(_)))
        }),
        // More comes: what is beyond belongs to no answer.
        ("content-length: 5\r\n", b"short and then some", |got| {
            got.as_ref()
                .is_ok_and(|page| page.body.as_ref() == b"short")
        }),
        ("content-length: -1\r\n", b"x", |got| {
            matches!(got, Err(FetchError::Network(_)))
        }),
        (
            "content-length: 5\r\ncontent-length: 6\r\n",
            b"123456",
            |got| matches!(got, Err(FetchError::Network(_))),
        ),
        ("content-length: 99999999999\r\n", b"x", |got| {
            got == &Err(FetchError::TooLarge(HTML_BYTES_MAX))
        }),
    ];
    for (announced, body, expected) in cases {
        let raw = Raw::start(answer(announced, body), Then::Close).await;
        let got = raw.fetched(PATIENT).await;
        assert!(expected(&got), "{announced}: {got:?}");
    }
}

#[tokio::test]
async fn chunks_are_counted_and_broken_ones_refused() {
    let chunked = "transfer-encoding: chunked\r\n";
    let huge = Raw::start(answer(chunked, b"FFFFFFFF\r\nx"), Then::Hold).await;
    assert_eq!(
        huge.fetched(READ_1_S).await,
        Err(FetchError::Timeout(1)),
        "room is made for what came, not for what a chunk promises"
    );
    let flood = Raw::start(answer(chunked, b""), Then::Flood(CHUNK)).await;
    assert_eq!(
        flood.fetched(PATIENT).await,
        Err(FetchError::TooLarge(HTML_BYTES_MAX))
    );
    for broken in [
        b"nonsense\r\n".as_slice(),
        b"FFFFFFFFFFFFFFFFF\r\nx",
        b"5\r\nabc",
    ] {
        let raw = Raw::start(answer(chunked, broken), Then::Close).await;
        let got = raw.fetched(PATIENT).await;
        assert!(matches!(got, Err(FetchError::Network(_))), "{got:?}");
    }
}

#[tokio::test]
async fn headers_are_bounded() {
    let many = "x-header: value\r\n".repeat(1_000);
    let long = format!("x-header: {}\r\n", "v".repeat(1_000_000));
    for bomb in [many, long] {
        let raw = Raw::start(answer(&bomb, b"x"), Then::Close).await;
        let got = raw.fetched(PATIENT).await;
        assert!(matches!(got, Err(FetchError::Network(_))), "{got:?}");
    }
    let endless = Raw::start(HEAD, Then::Flood(b"x-header: value\r\n")).await;
    let got = endless.fetched(PATIENT).await;
    assert!(matches!(got, Err(FetchError::Network(_))), "{got:?}");
}

#[tokio::test]
async fn whoever_says_nothing_is_left_by_the_read_timeout() {
    let packed = answer(
        "content-encoding: gzip\r\n",
        &include_bytes!("../fixtures/zeros.gz")[..200],
    );
    for said in [
        b"".to_vec(),
        b"HTTP/1.1 200".to_vec(),
        HEAD.as_bytes().to_vec(),
        answer("", b""),
        answer("content-length: 100\r\n", b"half"),
        packed,
    ] {
        let raw = Raw::start(said.clone(), Then::Hold).await;
        let got = raw.fetched(READ_1_S).await;
        assert_eq!(got, Err(FetchError::Timeout(1)), "{said:?}");
    }
}

#[tokio::test]
async fn whoever_says_little_at_a_time_is_left_by_the_total_timeout() {
    let pause = Duration::from_millis(50);
    for (said, piece) in [
        // Empty lines before a status line are allowed.
        (b"".to_vec(), b"\r\n".as_slice()),
        (HEAD.as_bytes().to_vec(), b"x: y\r\n"),
        (answer("", b""), b"x"),
        (answer("content-length: 1000000\r\n", b""), b"x"),
        (answer("transfer-encoding: chunked\r\n", b""), b"1\r\nx\r\n"),
    ] {
        let raw = Raw::start(said.clone(), Then::Repeat(piece, pause)).await;
        let got = raw.fetched(TOTAL_1_S).await;
        assert_eq!(got, Err(FetchError::Timeout(1)), "{said:?}");
    }
}

#[tokio::test]
async fn a_redirect_that_is_never_said_to_its_end_is_left_too() {
    let half = Raw::start("HTTP/1.1 302 Found\r\nlocation: /again\r\n", Then::Hold).await;
    assert_eq!(half.fetched(TOTAL_1_S).await, Err(FetchError::Timeout(1)));
}
