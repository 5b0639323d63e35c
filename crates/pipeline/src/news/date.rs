//! When an article was published, as its page says it.
//!
//! A date keeps the offset it was written with. Without one it is taken as
//! Korean time in a Korean text, and cut to the day in any other: an offset
//! that is not known must not be made up.

use std::sync::LazyLock;

use dom_query::{Document, Matcher};
use jiff::Timestamp;
use jiff::civil;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;
use regex::{Captures, Regex};
use url::Url;

use super::published::Published;
use super::text::selector;

/// Offset of Korea; it has had no summer time since 1988.
const KST: &str = "+09:00";
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2100;

/// A date and the place it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dated {
    /// RFC 3339: date, time and offset, or the date alone.
    pub(crate) published: String,
    /// `jsonld`, `meta`, `data`, `time`, `visible`, `url` or `feed`.
    pub(crate) from: &'static str,
}

static META: LazyLock<Matcher> = LazyLock::new(|| {
    selector(
        r#"meta[property="article:published_time"], meta[itemprop="datePublished"],
        meta[property="og:article:published_time"], meta[name="article:published_time"],
        meta[name="pubdate"], meta[name="publishdate"], meta[name="parsely-pub-date"],
        meta[name="DC.date.issued"], meta[name="date"]"#,
    )
});
static DATA: LazyLock<Matcher> = LazyLock::new(|| selector("[data-date-time]"));
static OWN_TIME: LazyLock<Matcher> = LazyLock::new(|| selector("article time[datetime]"));
static TIME: LazyLock<Matcher> = LazyLock::new(|| selector("time[datetime]"));

const DATE: &str = r"(?x)
    (?<year>(?:19|20)\d{2}) \s*[-./년]\s* (?<month>\d{1,2}) \s*[-./월]\s* (?<day>\d{1,2}) (?:\s*[일.])?
    (?: (?:[T,]|\s)+ (?: \(.\)\s* )? (?<half>오전|오후|[AaPp][Mm])? \s*
        (?<hour>\d{1,2}) [:시]\s* (?<minute>\d{2}) (?: [:분]\s* (?<second>\d{2}) )? (?:\.\d+)?
        (?: \s* (?<offset>Z|[+-]\d{2}:?\d{2}) )? )?";

static WRITTEN: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("^{DATE}")));
static VISIBLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?:입력|승인|등록|작성|발행|게시)(?:일시|일)?\s*[:：]?\s*{DATE}"
    ))
});
static IN_PATH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"/(?<year>20\d{2})[/-]?(?<month>0[1-9]|1[0-2])[/-]?(?<day>0[1-9]|[12]\d|3[01])(?:\D|$)",
    )
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

/// The first date that a page gives: JSON-LD, `<meta>`, `data-date-time`,
/// `<time>`, then the visible line of Korean sites.
pub(crate) fn from_page(
    doc: &Document,
    linked: Option<&str>,
    visible: &str,
    korean: bool,
) -> Option<Dated> {
    let attribute = |place: &Matcher, name: &str| {
        let found = doc.select_matcher(place);
        found
            .iter()
            .find_map(|node| parse(&node.attr(name)?, korean))
    };
    let time = || attribute(&OWN_TIME, "datetime").or_else(|| attribute(&TIME, "datetime"));
    let shown = || compose(&VISIBLE.captures(visible)?, korean);
    dated("jsonld", linked.and_then(|text| parse(text, korean)))
        .or_else(|| dated("meta", attribute(&META, "content")))
        .or_else(|| dated("data", attribute(&DATA, "data-date-time")))
        .or_else(|| dated("time", time()))
        .or_else(|| dated("visible", shown()))
}

/// The day in an address such as `/2026/11/17/`.
pub(crate) fn from_url(url: &Url) -> Option<Dated> {
    let found = IN_PATH.captures(url.path())?;
    dated("url", Some(day(&found)?.to_string()))
}

/// A source's time; whoever reads it needs one form, so it is in UTC. A day
/// alone is the day where the text is read.
pub(crate) fn from_hit(published: Published, korean: bool) -> Dated {
    let zone = if korean {
        jiff::tz::offset(9)
    } else {
        Offset::UTC
    };
    let published = if published.day_only {
        zone.to_datetime(published.at).date().to_string()
    } else {
        published.at.to_string()
    };
    Dated {
        published,
        from: "feed",
    }
}

/// A moment as feeds write it: RFC 3339, RFC 2822, or local Korean time.
pub(crate) fn timestamp(text: &str, korean: bool) -> Option<Timestamp> {
    parse(text, korean)?.parse().ok()
}

fn dated(from: &'static str, published: Option<String>) -> Option<Dated> {
    published.map(|published| Dated { published, from })
}

/// A date in any of the forms above, as RFC 3339.
pub(crate) fn parse(text: &str, korean: bool) -> Option<String> {
    let text = text.trim();
    match WRITTEN.captures(text) {
        Some(found) => compose(&found, korean),
        None => parse_mail_date(text),
    }
}

/// RFC 2822, where Korean servers also write the zone as `KST`.
fn parse_mail_date(text: &str) -> Option<String> {
    let text = match text.strip_suffix("KST") {
        Some(local) => format!("{local}+0900"),
        None => text.to_owned(),
    };
    let time = rfc2822::parse(&text).ok()?;
    let offset = time.offset().seconds();
    if offset == 0 {
        return Some(time.timestamp().to_string());
    }
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    let local = time.datetime().strftime("%Y-%m-%dT%H:%M:%S");
    Some(format!(
        "{local}{sign}{:02}:{:02}",
        minutes / 60,
        minutes % 60
    ))
}

fn day(found: &Captures<'_>) -> Option<civil::Date> {
    let year = found["year"].parse().ok()?;
    let date = civil::Date::new(
        year,
        found["month"].parse().ok()?,
        found["day"].parse().ok()?,
    );
    date.ok().filter(|_| YEARS.contains(&year))
}

fn compose(found: &Captures<'_>, korean: bool) -> Option<String> {
    let date = day(found)?;
    let number = |name: &str| -> Option<i8> { found.name(name)?.as_str().parse().ok() };
    let (Some(hour), Some(minute)) = (number("hour"), number("minute")) else {
        return Some(date.to_string());
    };
    let offset = match found.name("offset").map(|offset| offset.as_str()) {
        Some("Z") => "Z".to_owned(),
        Some(written) => with_colon(written),
        None if korean => KST.to_owned(),
        None => return Some(date.to_string()),
    };
    let hour = match found.name("half").map(|half| half.as_str()) {
        Some("오후" | "PM" | "pm" | "Pm" | "pM") if hour < 12 => hour + 12,
        Some("오전" | "AM" | "am" | "Am" | "aM") if hour == 12 => 0,
        _ => hour,
    };
    let second = number("second").unwrap_or(0);
    let time = civil::Time::new(hour, minute, second, 0).ok()?;
    let moment = format!("{date}T{}{offset}", time.strftime("%H:%M:%S"));
    // An offset such as +99:99 is as good as none.
    let known = moment.parse::<Timestamp>().is_ok();
    Some(if known { moment } else { date.to_string() })
}

/// `+0900` as RFC 3339 writes it.
fn with_colon(offset: &str) -> String {
    match offset.split_at_checked(3) {
        Some((hours, minutes)) if !minutes.starts_with(':') => format!("{hours}:{minutes}"),
        _ => offset.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_dates_keep_their_offset() {
        let cases = [
            (
                "2026-11-16T09:12:00+09:00",
                false,
                "2026-11-16T09:12:00+09:00",
            ),
            (
                "2026-11-16T09:12:00.123+0900",
                false,
                "2026-11-16T09:12:00+09:00",
            ),
            ("2026-11-17T08:05:00Z", true, "2026-11-17T08:05:00Z"),
            ("2026-11-17T08:05Z", true, "2026-11-17T08:05:00Z"),
            ("2026-11-16 09:12:00", true, "2026-11-16T09:12:00+09:00"),
            ("2026.11.16. 오전 10:40", true, "2026-11-16T10:40:00+09:00"),
            ("2026.11.16. 오후 10:40", true, "2026-11-16T22:40:00+09:00"),
            (
                "2026년 11월 16일 오전 12시 05분",
                true,
                "2026-11-16T00:05:00+09:00",
            ),
            ("2026-11-16 (월) 09:12", true, "2026-11-16T09:12:00+09:00"),
            (
                "Mon, 16 Nov 2026 09:12:00 +0900",
                false,
                "2026-11-16T09:12:00+09:00",
            ),
            (
                "Mon, 16 Nov 2026 09:12:00 KST",
                false,
                "2026-11-16T09:12:00+09:00",
            ),
            (
                "Mon, 16 Nov 2026 00:12:00 GMT",
                false,
                "2026-11-16T00:12:00Z",
            ),
        ];
        for (text, korean, expected) in cases {
            assert_eq!(parse(text, korean).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_unknown_offset_leaves_the_day() {
        assert_eq!(
            parse("2026-11-16 09:12:00", false).as_deref(),
            Some("2026-11-16")
        );
        assert_eq!(parse("2026-11-16", true).as_deref(), Some("2026-11-16"));
        assert_eq!(timestamp("2026-11-16 09:12:00", false), None);
        for offset in ["+99:99", "-2600", "+0٩:00"] {
            let text = format!("2026-11-16T09:12:00{offset}");
            assert_eq!(parse(&text, true).as_deref(), Some("2026-11-16"), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "0000-01-01",
            "2026-11-16T25:00Z",
        ] {
            assert_eq!(parse(text, true), None, "{text}");
        }
    }

    #[test]
    fn the_visible_line_of_korean_sites_is_read() {
        let doc = Document::from("<p>x</p>");
        for line in [
            "문가온 기자 | 승인 2026.11.12 14:03",
            "입력 2026.11.12. 오후 2:03 | 수정 2026.11.13. 오후 1:00",
            "등록일시: 2026-11-12 14:03:00",
        ] {
            let found = from_page(&doc, None, line, true).unwrap();
            assert_eq!(found.published, "2026-11-12T14:03:00+09:00", "{line}");
            assert_eq!(found.from, "visible");
        }
    }

    #[test]
    fn an_address_gives_the_day() {
        let day = |url: &str| from_url(&Url::parse(url).unwrap()).map(|dated| dated.published);
        assert_eq!(
            day("https://n.example/world/2026/11/17/a/").as_deref(),
            Some("2026-11-17")
        );
        assert_eq!(
            day("https://n.example/20261117-a").as_deref(),
            Some("2026-11-17")
        );
        assert_eq!(day("https://n.example/2026/99/17/"), None);
        assert_eq!(day("https://n.example/id/202611171234567"), None);
    }
}
