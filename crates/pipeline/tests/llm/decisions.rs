//! Retry and wait decisions, without a network.

use super::*;

fn failure(kind: Kind, retry_after: Option<u64>) -> LlmError {
    LlmError {
        retry_after: retry_after.map(Duration::from_secs),
        ..LlmError::new(kind, "x")
    }
}

fn decided(error: &LlmError, tries: u32, elapsed: u64, seed: u64) -> Decision {
    let mut rng = StdRng::seed_from_u64(seed);
    let elapsed = Duration::from_secs(elapsed);
    decide(&RetryPolicy::STANDARD, error, tries, elapsed, &mut rng)
}

#[test]
fn backoff_is_full_jitter_under_a_doubling_bound() {
    let server = failure(Kind::Server, None);
    for (tries, bound) in [(1, 500), (2, 1000), (3, 2000), (4, 4000)] {
        let waits: Vec<Duration> = (0..200)
            .map(|seed| match decided(&server, tries, 0, seed) {
                Decision::Retry(wait) => wait,
                other => panic!("{other:?}"),
            })
            .collect();
        let bound = Duration::from_millis(bound);
        assert!(waits.iter().all(|wait| *wait <= bound));
        assert!(
            waits.iter().any(|wait| *wait < bound / 4),
            "low waits occur"
        );
        assert!(
            waits.iter().any(|wait| *wait > bound * 3 / 4),
            "high waits occur"
        );
    }
    assert_eq!(decided(&server, 5, 0, 1), Decision::GiveUp);
    assert_eq!(decided(&server, 1, 181, 1), Decision::GiveUp);
}

#[test]
fn a_short_wait_is_slept_and_a_long_one_parked() {
    let limited = |seconds| failure(Kind::RateLimited, Some(seconds));
    let wait_of = |seconds| decided(&limited(seconds), 1, 0, 3);
    let about = |wait: Duration, from: u64| {
        (Duration::from_secs(from)..=Duration::from_secs(from + 2)).contains(&wait)
    };
    assert!(matches!(wait_of(30), Decision::Retry(wait) if about(wait, 30)));
    assert!(matches!(wait_of(31), Decision::Park(wait) if about(wait, 31)));
    assert!(matches!(wait_of(9999), Decision::Park(wait) if about(wait, 600)));
    // Parking needs no try left and no time left.
    assert!(matches!(
        decided(&limited(40), 5, 500, 3),
        Decision::Park(_)
    ));
    assert_eq!(decided(&limited(20), 1, 170, 3), Decision::GiveUp);
}

#[test]
fn slow_failures_are_tried_thrice_and_lasting_ones_once() {
    for kind in [Kind::Timeout, Kind::StreamBroken] {
        assert!(matches!(
            decided(&failure(kind, None), 2, 0, 1),
            Decision::Retry(_)
        ));
        assert_eq!(decided(&failure(kind, None), 3, 0, 1), Decision::GiveUp);
    }
    for kind in [
        Kind::QuotaExhausted,
        Kind::Auth,
        Kind::BadRequest,
        Kind::Truncated,
    ] {
        assert_eq!(decided(&failure(kind, Some(60)), 1, 0, 1), Decision::GiveUp);
        assert_eq!(failure(kind, Some(60)).park(), None);
    }
    let limit = failure(Kind::RateLimited, Some(PARK_AFTER.as_secs()));
    assert_eq!(limit.park(), None);
}

/// The wait read from a 429 received on 1994-11-06 at 08:49:37, in milliseconds.
fn wait(headers: &[(&'static str, &str)], message: &str) -> Option<u128> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    let body = json!({"error": {"message": message}}).to_string();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let error = classify(429, &headers, body.as_bytes(), now);
    error.retry_after.map(|wait| wait.as_millis())
}

#[test]
fn the_wait_is_read_in_order_of_trust() {
    let words = "try again in 1.5s";
    let ms = ("retry-after-ms", "250");
    let seconds = ("retry-after", "7");
    let date = ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT");
    let sent = ("date", "Sun, 06 Nov 1994 08:49:40 GMT");
    let spent = ("x-ratelimit-remaining-tokens", "0");
    let left = ("x-ratelimit-remaining-tokens", "5");
    let reset = ("x-ratelimit-reset-tokens", "1m0.5s");
    assert_eq!(wait(&[ms, seconds, spent, reset], words), Some(250));
    assert_eq!(wait(&[seconds, spent, reset], words), Some(7000));
    assert_eq!(wait(&[date], words), Some(10_000), "from our clock");
    assert_eq!(
        wait(&[sent, date], words),
        Some(7000),
        "from the server's clock"
    );
    assert_eq!(wait(&[spent, reset], words), Some(1500));
    assert_eq!(wait(&[spent, reset], ""), Some(60_500));
    assert_eq!(wait(&[left, reset], ""), None);
}

#[test]
fn waits_in_words_and_nonsense_are_told_apart() {
    assert_eq!(wait(&[], "Please retry after 26 seconds."), Some(26_000));
    assert_eq!(wait(&[], "Please retry in 36.42s."), Some(36_420));
    assert_eq!(wait(&[], "Try again in 1h2m3s"), Some(3_723_000));
    assert_eq!(wait(&[], "Try again in a while"), None);
    for nonsense in [
        "-5",
        "1e400",
        "NaN",
        "99999999999999999999999",
        "soon",
        "0",
        "",
    ] {
        assert_eq!(wait(&[("retry-after", nonsense)], ""), None, "{nonsense:?}");
    }
}
