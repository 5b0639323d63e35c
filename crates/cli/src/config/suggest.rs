//! "Did you mean" for a misspelt key.

/// The key of `known` that `word` was probably meant to be.
///
/// Close in spelling, or else of the same name in another section.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.collect();
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned);
    known
        .iter()
        .map(|key| (strsim::osa_distance(word, key), *key))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, _)| *edits <= (word.len() / 4).max(2))
        .map(|(_, key)| key)
        .or_else(|| known.into_iter().find(|key| name(key) == name(word)))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 4] = ["store.url", "worker.concurrency", "llm.model", "log.format"];

    #[test]
    fn a_key_is_suggested_when_it_is_close_or_in_another_section() {
        for (word, expected) in [
            ("worker.concurency", Some("worker.concurrency")),
            ("wroker.concurrency", Some("worker.concurrency")),
            ("worker.concurrency_", Some("worker.concurrency")),
            ("redis.url", Some("store.url")),
            ("concurrency", Some("worker.concurrency")),
            ("llm.modle", Some("llm.model")),
            ("colour", None),
            ("llm.temperature", None),
        ] {
            assert_eq!(nearest(word, KNOWN.into_iter()), expected, "{word}");
        }
    }
}
