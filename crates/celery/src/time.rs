//! Times as Python writes and reads them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// An ISO 8601 time with or without an offset; without one it is in `zone`.
/// One that the clocks jumped over is as late as it would have been without the
/// jump, of two the first counts, both as Python has it.
pub(crate) fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // A date and time would also be read from a text with an offset that is wrong.
    let naive = text.get(10..).is_none_or(|time| !time.contains(['+', '-']));
    if !naive {
        return None;
    }
    let civil: DateTime = text.parse().ok()?;
    zone.to_timestamp(civil).ok()
}

/// A time in a JSON document: text, or as kombu types it:
/// `{"__type__": "datetime", "__value__": "2024-01-02T03:04:05+00:00"}`.
pub(crate) fn read_json(json: &str, zone: &TimeZone) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "__type__")]
        kind: String,
        #[serde(rename = "__value__")]
        value: String,
    }
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return read(&text, zone);
    }
    let typed: Typed = serde_json::from_str(json).ok()?;
    (typed.kind == "datetime")
        .then(|| read(&typed.value, zone))
        .flatten()
}

/// `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`, which `fromisoformat` before Python 3.11 reads.
pub(crate) fn write(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shanghai() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(8))
    }

    #[test]
    fn times_are_read_as_producers_write_them() {
        for (text, utc) in [
            ("2030-01-02T03:04:05+00:00", "2030-01-02T03:04:05Z"),
            (
                "2030-01-02T03:04:05.000678+00:00",
                "2030-01-02T03:04:05.000678Z",
            ),
            ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05Z"),
            ("2030-01-02T03:04:05z", "2030-01-02T03:04:05Z"),
            ("2030-01-02 03:04:05+08:00", "2030-01-01T19:04:05Z"),
            ("2030-01-02T03:04:05-0530", "2030-01-02T08:34:05Z"),
            ("2030-01-02T03:04:05+08", "2030-01-01T19:04:05Z"),
            ("2030-01-02T03:04+08:00", "2030-01-01T19:04:00Z"),
            ("20300102T030405Z", "2030-01-02T03:04:05Z"),
            // Local mean time, as pytz gives it where `localize` was forgotten.
            ("2030-01-02T03:04:05+08:06", "2030-01-01T18:58:05Z"),
            ("2030-01-02T03:04:05", "2030-01-01T19:04:05Z"),
            ("2030-01-02T03:04:05.5", "2030-01-01T19:04:05.5Z"),
            ("2030-01-02 03:04", "2030-01-01T19:04:00Z"),
            ("2030-01-02", "2030-01-01T16:00:00Z"),
            ("1969-12-31T23:59:59.25+00:00", "1969-12-31T23:59:59.25Z"),
        ] {
            let expected: Timestamp = utc.parse().expect("a time");
            assert_eq!(read(text, &shanghai()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "next week",
            "1893553445",
            "2030-13-02T03:04:05",
            "2030-02-30T03:04:05Z",
            "2030-01-02T25:04:05",
            "2030-01-02T03:04:05+99:00",
            "2030-01-02T03:04:05+",
            "2030-01-02T03:04:05Zulu",
            "２０３０-01-02T03:04:05Z",
        ] {
            assert_eq!(read(text, &TimeZone::UTC), None, "{text}");
        }
    }

    #[test]
    fn where_clocks_jump_python_is_followed() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a zone");
        for (text, utc) in [
            ("2030-03-10T02:30:00", "2030-03-10T07:30:00Z"),
            ("2030-11-03T01:30:00", "2030-11-03T05:30:00Z"),
            ("2030-11-03T01:30:00-05:00", "2030-11-03T06:30:00Z"),
        ] {
            let expected: Timestamp = utc.parse().expect("a time");
            assert_eq!(read(text, &zone), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_typed_time_is_a_time() {
        let expected: Timestamp = "2024-01-02T03:04:05Z".parse().expect("a time");
        for json in [
            r#""2024-01-02T03:04:05+00:00""#,
            r#"{"__type__": "datetime", "__value__": "2024-01-02T03:04:05+00:00"}"#,
        ] {
            assert_eq!(read_json(json, &shanghai()), Some(expected), "{json}");
        }
        for json in [
            "60",
            "null",
            "{}",
            r#"{"__type__": "time", "__value__": "03:04:05"}"#,
        ] {
            assert_eq!(read_json(json, &shanghai()), None, "{json}");
        }
    }

    #[test]
    fn times_are_written_with_six_digits_and_an_offset() {
        for (utc, text) in [
            (
                "2026-11-21T00:21:21.484193Z",
                "2026-11-21T00:21:21.484193+00:00",
            ),
            ("2026-11-21T00:21:21Z", "2026-11-21T00:21:21.000000+00:00"),
            (
                "2026-11-21T00:21:21.000000999Z",
                "2026-11-21T00:21:21.000000+00:00",
            ),
        ] {
            let at: Timestamp = utc.parse().expect("a time");
            assert_eq!(write(at), text);
            assert_eq!(read(text, &shanghai()).map(write).as_deref(), Some(text));
        }
    }
}
