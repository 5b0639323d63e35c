//! What a job waits for, in words.

/// Reason, and the name of the signal or limit, in a few words.
pub(crate) fn what(reason: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{reason} {name}"),
        None => reason.to_owned(),
    }
}

/// The same with its end. That of children is only the longest a job is parked.
pub(crate) fn text(reason: &str, name: Option<&str>, until: Option<&str>) -> String {
    let what = what(reason, name);
    match until.filter(|_| reason != "children") {
        Some(until) => format!("{what} until {until}"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_says_for_what_and_until_when_it_may_last() {
        let until = Some("2026-01-31T09:30:00Z");
        let signal = text("signal", Some("approval"), until);
        assert_eq!(signal, "signal approval until 2026-01-31T09:30:00Z");
        assert_eq!(text("children", None, until), "children");
        assert_eq!(text("queued", None, None), "queued");
    }
}
