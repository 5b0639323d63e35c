//! The prompts: one file each, with its version in its first line.
//!
//! A version is part of a checkpoint's key and of the result. Whoever changes a
//! text raises the version in the same file and records the new text below
//! (`the_text_of_a_version_never_changes` says with what).

/// A prompt, as its file has it: `version: name/number`, an empty line, the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prompt(&'static str);

/// Asks for a plan.
pub(crate) const PLANNER: Prompt = Prompt(include_str!("planner.md"));
/// Asks for the text.
pub(crate) const WRITER: Prompt = Prompt(include_str!("writer.md"));
/// Asks for flagged sentences anew.
pub(crate) const REVIEW: Prompt = Prompt(include_str!("review.md"));
/// Asks for what is established.
pub(crate) const FACTS: Prompt = Prompt(include_str!("facts.md"));
/// Asks for the market side.
pub(crate) const MARKET: Prompt = Prompt(include_str!("market.md"));
/// Asks for the technical side.
pub(crate) const TECHNICAL: Prompt = Prompt(include_str!("technical.md"));
/// The rules of all analysts.
pub(crate) const ANALYST: Prompt = Prompt(include_str!("analyst.md"));
/// Asks for one document of several analyses.
pub(crate) const INTEGRATOR: Prompt = Prompt(include_str!("integrator.md"));
/// Asks for a revised story.
pub(crate) const REVISE: Prompt = Prompt(include_str!("revise.md"));
/// Asks what images show.
pub(crate) const VISION: Prompt = Prompt(include_str!("vision.md"));

/// Every prompt.
pub(crate) const ALL: [Prompt; 10] = [
    PLANNER, WRITER, REVIEW, FACTS, MARKET, TECHNICAL, ANALYST, INTEGRATOR, REVISE, VISION,
];

impl Prompt {
    /// Its version, such as `writer/2`.
    pub(crate) fn version(self) -> &'static str {
        self.parts().0
    }

    /// The text with each `{name}` replaced by its value, in one pass: what
    /// stands in a value is not looked at again.
    ///
    /// # Panics
    /// When the text names something without a value.
    pub(crate) fn fill(self, values: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        let mut rest = self.parts().1;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').expect("a prompt closes its braces");
            let value = values.iter().find(|(known, _)| *known == name);
            filled.push_str(before);
            filled.push_str(value.expect("a prompt names what its caller has").1);
            rest = after;
        }
        filled + rest
    }

    fn parts(self) -> (&'static str, &'static str) {
        let (head, text) = self.0.split_once("\n\n").expect("a prompt has a head");
        let version = head
            .strip_prefix("version: ")
            .expect("the head is a version");
        (version, text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256_hex;

    /// Every version there has been, the latest last, with the beginning of the
    /// SHA-256 of its text. Lines are added, never changed.
    const RECORDED: &[(&str, &str)] = &[
        ("planner/2", "d390c165fa2df6cf"),
        ("writer/2", "f68a0b4549d6e344"),
        ("review/1", "a64061690b1b474a"),
        ("facts/1", "859328fd7ff5d613"),
        ("market/1", "40f238b083b336c8"),
        ("technical/1", "a2ce8ce64cfc72f9"),
        ("analyst/1", "4261ba942ce2ecf0"),
        ("integrator/1", "718166407fcd8da0"),
        ("revise/1", "8b44e171661b0e65"),
        ("vision/1", "65e71bf11b3b85eb"),
    ];

    #[test]
    fn the_text_of_a_version_never_changes() {
        for prompt in ALL {
            let (version, text) = prompt.parts();
            let came = format!("{:.16}", sha256_hex(text));
            let recorded = RECORDED.iter().find(|(known, _)| *known == version);
            assert_eq!(
                recorded.map(|(_, text)| *text),
                Some(came.as_str()),
                "the text of {version} is new: raise the version in its file and add (\"{version}\", \"{came}\")"
            );
        }
    }

    #[test]
    fn a_value_is_not_searched_for_names() {
        let prompt = Prompt("version: test/1\n\nSay {a} in {b}.\n");
        let filled = prompt.fill(&[("a", "{b}"), ("b", "Korean")]);
        assert_eq!(filled, "Say {b} in Korean.");
        assert_eq!(prompt.version(), "test/1");
    }
}
