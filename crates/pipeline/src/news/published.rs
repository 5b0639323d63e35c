//! When a hit was published, as the source that gave it says it.

use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};

use super::date;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Older than anything that has been published online.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24 * 365 * 50);
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// A time of publication, and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    /// The moment, or one on its day.
    pub at: Timestamp,
    /// Whether only the day is known: "3 days ago", a date without a time.
    pub day_only: bool,
}

impl Published {
    /// A moment told exactly.
    pub fn exactly(at: Timestamp) -> Self {
        Self {
            at,
            day_only: false,
        }
    }

    fn about(at: Timestamp) -> Self {
        Self { at, day_only: true }
    }

    /// The latest moment it can have been.
    pub fn latest(self) -> Timestamp {
        if self.day_only {
            self.at.checked_add(DAY).unwrap_or(self.at)
        } else {
            self.at
        }
    }
}

static COMPACT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$"));
static AGO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)^(an?|\d{1,4})\s*(sec|min|hour|hr|h|day|d|week|month|year)[a-z]*\.?\s+ago$")
});
static AGO_KOREAN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(\d{1,4})\s*(초|분|시간|일|주일|주|개월|달|년)\s*전$"));
static MONTH_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?<month>[A-Za-z]{3})[a-z]*\.?\s+(?<day>\d{1,2}),?\s+(?<year>\d{4})$")
});
static DAY_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?<day>\d{1,2})\s+(?<month>[A-Za-z]{3})[a-z]*\.?,?\s+(?<year>\d{4})$")
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

/// A time in any form that sources use: RFC 3339 and 2822, `20260918T031500Z`,
/// "3일 전", "2 hours ago", "Nov 16, 2026", and what [`date`] reads.
///
/// A time without an offset is Korean when `korean` says so; otherwise only its
/// day is taken, as the offset is not known.
pub(crate) fn parse(text: &str, now: Timestamp, korean: bool) -> Option<Published> {
    let text = text.trim();
    compact(text)
        .map(Published::exactly)
        .or_else(|| Some(Published::about(now.checked_sub(age(text)?).ok()?)))
        .or_else(|| written(text, korean))
        .or_else(|| spelled(text))
}

fn compact(text: &str) -> Option<Timestamp> {
    let (_, [year, month, day, hour, minute, second]) = COMPACT.captures(text)?.extract();
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
        .parse()
        .ok()
}

/// How long ago, where a text says that.
fn age(text: &str) -> Option<SignedDuration> {
    match text.to_lowercase().as_str() {
        "just now" | "now" | "방금" | "방금 전" => return Some(SignedDuration::ZERO),
        "yesterday" | "어제" => return Some(DAY),
        "그제" | "그저께" => return Some(DAY * 2),
        _ => {}
    }
    let found = AGO.captures(text).or_else(|| AGO_KOREAN.captures(text))?;
    let (_, [count, unit]) = found.extract();
    let count: i32 = count.parse().unwrap_or(1);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "sec" | "초" => SignedDuration::from_secs(1),
        "min" | "분" => SignedDuration::from_mins(1),
        "hour" | "hr" | "h" | "시간" => SignedDuration::from_hours(1),
        "day" | "d" | "일" => DAY,
        "week" | "주" | "주일" => DAY * 7,
        "month" | "개월" | "달" => DAY * 30,
        _ => DAY * 365,
    };
    unit.checked_mul(count).filter(|age| *age <= AGE_MAX)
}

fn written(text: &str, korean: bool) -> Option<Published> {
    let found = date::parse(text, korean)?;
    match found.parse::<Timestamp>() {
        Ok(at) => Some(Published::exactly(at)),
        Err(_) => midnight(found.parse().ok()?),
    }
}

fn spelled(text: &str) -> Option<Published> {
    let found = MONTH_FIRST
        .captures(text)
        .or_else(|| DAY_FIRST.captures(text))?;
    midnight(day(&found)?)
}

fn day(found: &Captures<'_>) -> Option<Date> {
    let name = found["month"].to_ascii_lowercase();
    let month = MONTHS.iter().position(|known| *known == name)?;
    let month = i8::try_from(month + 1).ok()?;
    Date::new(
        found["year"].parse().ok()?,
        month,
        found["day"].parse().ok()?,
    )
    .ok()
}

fn midnight(day: Date) -> Option<Published> {
    let at = Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
    Some(Published::about(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn every_form_that_sources_use_is_read() {
        for (text, at, day_only) in [
            ("20260918T031500Z", "2026-09-18T03:15:00Z", false),
            ("2026-11-16T09:12:00+09:00", "2026-11-16T00:12:00Z", false),
            ("2026-11-16T09:12:00.000Z", "2026-11-16T09:12:00Z", false),
            (
                "Mon, 16 Nov 2026 09:12:00 +0900",
                "2026-11-16T00:12:00Z",
                false,
            ),
            (
                "Mon, 16 Nov 2026 00:12:00 GMT",
                "2026-11-16T00:12:00Z",
                false,
            ),
            // As Brave writes page_age: the offset is not known.
            ("2026-11-16T09:12:00", "2026-11-16T00:00:00Z", true),
            ("2026-11-16", "2026-11-16T00:00:00Z", true),
            ("2026. 11. 16.", "2026-11-16T00:00:00Z", true),
            ("Nov 16, 2026", "2026-11-16T00:00:00Z", true),
            ("16 November 2026", "2026-11-16T00:00:00Z", true),
            ("3일 전", "2026-11-17T12:00:00Z", true),
            ("2시간 전", "2026-11-20T10:00:00Z", true),
            ("1주 전", "2026-11-13T12:00:00Z", true),
            ("방금 전", "2026-11-20T12:00:00Z", true),
            ("2 hours ago", "2026-11-20T10:00:00Z", true),
            ("an hour ago", "2026-11-20T11:00:00Z", true),
            ("15 mins ago", "2026-11-20T11:45:00Z", true),
            ("Yesterday", "2026-11-19T12:00:00Z", true),
        ] {
            let expected = Published {
                at: at.parse().unwrap(),
                day_only,
            };
            assert_eq!(parse(text, now(), false), Some(expected), "{text}");
        }
        let local = parse("2026-11-16 09:12:00", now(), true);
        let expected = Published::exactly("2026-11-16T00:12:00Z".parse().unwrap());
        assert_eq!(
            local,
            Some(expected),
            "Korean time where the text is Korean"
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "soon",
            "ago",
            "9999 years ago",
            "20261318T031500Z",
            "Foo 16, 2026",
            "Feb 30, 2026",
            "전",
        ] {
            assert_eq!(parse(text, now(), true), None, "{text}");
        }
    }
}
