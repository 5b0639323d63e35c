//! JSON as Python writes it: with NaN and Infinity, and read back as `repr` shows it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A member of an object, as it came; none when it is absent or null.
pub(crate) type Raw<'a> = Option<&'a RawValue>;

/// Python's bare tokens, the object that stands for each, and what is quoted in it.
const FLOATS: [(&str, &str, &str); 3] = [
    (
        "NaN",
        r#"{"__type__":"float","__value__":"nan"}"#,
        "\"nan\"",
    ),
    (
        "Infinity",
        r#"{"__type__":"float","__value__":"inf"}"#,
        "\"inf\"",
    ),
    (
        "-Infinity",
        r#"{"__type__":"float","__value__":"-inf"}"#,
        "\"-inf\"",
    ),
];

/// A text with the bare tokens NaN, Infinity and -Infinity as objects that JSON
/// has: `{"__type__":"float","__value__":"nan"}`. Borrowed when it has none.
/// What else is wrong with the text stays wrong.
pub(crate) fn strict(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    rewrite(text, |rest| {
        FLOATS
            .iter()
            .find(|(token, ..)| rest.starts_with(token))
            .map(|(token, object, _)| (token.len(), *object))
    })
}

/// The other way: for what goes to Python.
pub(crate) fn pythonic(text: &str) -> Cow<'_, str> {
    if !text.contains(r#""__type__""#) {
        return Cow::Borrowed(text);
    }
    rewrite(text, |rest| {
        float_object(rest).map(|(length, float)| (length, FLOATS[float].0))
    })
}

/// `text` with what `found` knows replaced, never inside of a string. `found`
/// gets what follows and answers how many bytes of it become what.
fn rewrite(text: &str, found: impl Fn(&str) -> Option<(usize, &'static str)>) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            // Only these start a token or an object; they also start a character.
            b'N' | b'I' | b'-' | b'{' => match found(&text[at..]) {
                Some((length, instead)) => {
                    out.push_str(&text[copied..at]);
                    out.push_str(instead);
                    at += length;
                    copied = at;
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Behind the string that starts at `start`, or the end of a text that breaks off in it.
fn string_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether `text` starts with an object that stands for a float: its length and
/// place in [`FLOATS`]. A handler may have written it with other spaces.
fn float_object(text: &str) -> Option<(usize, usize)> {
    let skip = |rest: &'_ str, part: &str| {
        let rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        rest.strip_prefix(part).map(|rest| text.len() - rest.len())
    };
    let mut at = 0;
    for part in [
        "{",
        r#""__type__""#,
        ":",
        r#""float""#,
        ",",
        r#""__value__""#,
        ":",
    ] {
        at = skip(&text[at..], part)?;
    }
    let (float, at) = FLOATS
        .iter()
        .enumerate()
        .find_map(|(float, (.., quoted))| Some((float, skip(&text[at..], quoted)?)))?;
    Some((skip(&text[at..], "}")?, float))
}

/// What a document is, in words for a person.
pub(crate) fn shape(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        None => "nothing",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => "no JSON",
    }
}

/// Reads an object; `what` names it in the error.
///
/// # Errors
/// What was expected and what came.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, String> {
    // Without this a list would do: serde reads structures from lists too.
    if !text.trim_start().starts_with('{') {
        return Err(format!(
            "expected {what} to be an object, got {}",
            shape(text)
        ));
    }
    serde_json::from_str(text).map_err(|error| format!("{what} cannot be read as JSON: {error}"))
}

/// Reads a member as a `T`, which `expected` names in the error.
///
/// # Errors
/// What was expected and what came.
pub(crate) fn member<'a, T: Deserialize<'a>>(
    raw: Raw<'a>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, String> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get())
        .map(Some)
        .map_err(|_| unexpected(name, expected, raw.get()))
}

/// Reads a member that is text, borrowed where it has no escapes.
///
/// # Errors
/// What was expected and what came.
pub(crate) fn text<'a>(raw: Raw<'a>, name: &str) -> Result<Option<Cow<'a, str>>, String> {
    let plain = raw
        .and_then(|raw| raw.get().strip_prefix('"')?.strip_suffix('"'))
        .filter(|inner| !inner.contains('\\'));
    match plain {
        Some(inner) => Ok(Some(Cow::Borrowed(inner))),
        None => Ok(member::<String>(raw, name, "text that is Unicode")?.map(Cow::Owned)),
    }
}

/// What to say of a member that is something else.
pub(crate) fn unexpected(name: &str, expected: &str, got: &str) -> String {
    format!("expected {name} to be {expected}, got {}", shape(got))
}

/// A document as Python's `repr` shows it, at most `max` bytes and three dots.
pub(crate) fn repr(json: &str, max: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    while let Some(next) = json.get(at..).and_then(|rest| rest.chars().next()) {
        if out.len() > max {
            break;
        }
        let (length, word) = match next {
            ' ' | '\t' | '\r' | '\n' => (1, ""),
            ',' => (1, ", "),
            ':' => (1, ": "),
            't' => (4, "True"),
            'f' => (5, "False"),
            'n' => (4, "None"),
            '{' => match float_object(&json[at..]) {
                Some((length, float)) => (length, FLOATS[float].2.trim_matches('"')),
                None => (1, "{"),
            },
            '"' => {
                let end = string_end(json, at);
                push_quoted(
                    &mut out,
                    &json[at + 1..end.saturating_sub(1).max(at + 1)],
                    max,
                );
                (end - at, "")
            }
            other => {
                out.push(other);
                (other.len_utf8(), "")
            }
        };
        out.push_str(word);
        at += length;
    }
    if out.len() > max {
        out.truncate(out.floor_char_boundary(max));
        out.push_str("...");
    }
    out
}

/// The inside of a JSON string as a Python literal, up to about `max` bytes of it.
fn push_quoted(out: &mut String, inner: &str, max: usize) {
    let quote = if inner.contains('\'') && !inner.contains("\\\"") {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    let mut rest = inner;
    let start = out.len();
    while let Some((unit, length)) = unescape(rest) {
        rest = &rest[length..];
        match unit {
            Ok(c) if c == quote || c == '\\' => out.extend(['\\', c]),
            Ok('\n') => out.push_str("\\n"),
            Ok('\r') => out.push_str("\\r"),
            Ok('\t') => out.push_str("\\t"),
            Ok(c) if c.is_control() => push_escape(out, u32::from(c)),
            Ok(c) => out.push(c),
            Err(surrogate) => push_escape(out, u32::from(surrogate)),
        }
        if out.len() - start > max {
            break;
        }
    }
    out.push(quote);
}

/// A code as Python escapes it.
fn push_escape(out: &mut String, code: u32) {
    let written = if code < 0x100 {
        write!(out, "\\x{code:02x}")
    } else {
        write!(out, "\\u{code:04x}")
    };
    written.expect("a String takes all that is written");
}

/// The first character of a JSON string's inside, or a surrogate without its
/// partner, and how many bytes it takes.
fn unescape(inner: &str) -> Option<(Result<char, u16>, usize)> {
    let first = inner.chars().next()?;
    if first != '\\' {
        return Some((Ok(first), first.len_utf8()));
    }
    let escape = inner[1..].chars().next()?;
    let plain = match escape {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => return unescape_unicode(inner),
        other => other,
    };
    Some((Ok(plain), 1 + escape.len_utf8()))
}

/// The same for `\uXXXX`, and for two of them that are one character.
fn unescape_unicode(inner: &str) -> Option<(Result<char, u16>, usize)> {
    let unit = |at: usize| {
        let digits = inner.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0)?;
    let pair = [first, unit(6).unwrap_or(0)];
    let decoded = char::decode_utf16(pair).next()?;
    Some(match decoded {
        Ok(c) => (Ok(c), 6 * c.len_utf16()),
        Err(_) => (Err(first), 6),
    })
}

#[cfg(test)]
mod tests {
    use lovage_core::payload::Payload;

    use super::*;

    #[test]
    fn tokens_of_python_become_json_and_come_back() {
        for (python, json) in [
            ("NaN", r#"{"__type__":"float","__value__":"nan"}"#),
            (
                "[1, -Infinity, {\"a\": Infinity}]",
                r#"[1, {"__type__":"float","__value__":"-inf"}, {"a": {"__type__":"float","__value__":"inf"}}]"#,
            ),
            (
                r#"["NaN", "\"NaN", "\\", NaN, "汉 -Infinity"]"#,
                r#"["NaN", "\"NaN", "\\", {"__type__":"float","__value__":"nan"}, "汉 -Infinity"]"#,
            ),
        ] {
            assert_eq!(strict(python), json);
            Payload::parse(json).expect("JSON");
            assert_eq!(pythonic(json), python);
        }
    }

    #[test]
    fn a_text_without_such_tokens_is_not_copied() {
        for text in [
            "",
            "[1, 2]",
            r#"{"Infinity": "NaN"}"#,
            r#"{"__type__": "datetime", "__value__": "2024-01-02T03:04:05+00:00"}"#,
            r#"{"__type__": "float", "__value__": "1.5"}"#,
            r#"{"__type__": "float", "__value__": "nan", "more": 1}"#,
            r#"["{\"__type__\":\"float\",\"__value__\":\"nan\"}", {"__type__": 1}]"#,
        ] {
            assert!(matches!(strict(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(pythonic(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_float_object_is_known_however_a_handler_spaced_it() {
        let text = "[{ \"__type__\" : \"float\",\n \"__value__\": \"-inf\" }, 1]";
        assert_eq!(pythonic(text), "[-Infinity, 1]");
    }

    #[test]
    fn what_is_broken_stays_broken() {
        for text in ["NaNNaN", "1NaN", "-NaN", "[NaN NaN]", "\"NaN", "{NaN: 1}"] {
            assert!(Payload::parse(&strict(text)).is_err(), "{text}");
        }
    }

    /// What serde_json's own types would round, refuse or overflow on.
    #[test]
    fn traps_pass_as_they_are() {
        let huge = format!("1{}", "0".repeat(40));
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let deeper = format!("{}1{}", "{\"a\":[".repeat(50_000), "]}".repeat(50_000));
        for text in [
            huge.as_str(),
            &deep,
            &deeper,
            "1e400",
            "0.1000000000000000055511151231257827",
            r#""\ud800x""#,
            r#""\u0000""#,
            r#"{"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000005"}}"#,
        ] {
            let payload = Payload::parse(&strict(text)).expect("JSON");
            assert_eq!(payload.as_str(), text);
            assert_eq!(pythonic(payload.as_str()), text);
        }
    }

    #[test]
    fn documents_are_shown_as_python_shows_them() {
        for (json, shown) in [
            ("[1,2.50,-3]", "[1, 2.50, -3]"),
            (
                r#"{"a":true,"b":[false,null]}"#,
                "{'a': True, 'b': [False, None]}",
            ),
            (r#"{ "a" : "it's" }"#, r#"{'a': "it's"}"#),
            (r#""it's \"so\"""#, r#"'it\'s "so"'"#),
            (r#""a\n\t\\\u0007\u00e9\/""#, r"'a\n\t\\\x07é/'"),
            (r#""\ud83d\ude00 \ud800x \udc00""#, r"'😀 \ud800x \udc00'"),
            (r#"[{"__type__":"float","__value__":"-inf"}]"#, "[-inf]"),
            ("", ""),
        ] {
            assert_eq!(repr(json, 1_000), shown);
        }
    }

    #[test]
    fn what_is_long_is_cut_when_shown() {
        let text = serde_json::to_string(&"é".repeat(5_000)).expect("JSON");
        let shown = repr(&text, 100);
        assert!(shown.starts_with("'éé") && shown.ends_with("..."));
        assert!(shown.len() <= 104, "{}", shown.len());
        let list = serde_json::to_string(&vec![1; 5_000]).expect("JSON");
        assert_eq!(repr(&list, 10), "[1, 1, 1, ...");
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(Debug, Deserialize)]
        struct One {
            #[serde(rename = "a")]
            _a: u8,
        }
        let error = object::<One>("[1]", "it").expect_err("a list");
        assert_eq!(error, "expected it to be an object, got a list");
        object::<One>(" {\"a\": 1}", "it").expect("an object");
    }
}
