//! What tells that a sentence belongs to a section.

use crate::script::types::OutlineSection;

use super::score::{Pool, figures, lead};

/// The sections of the built-in outlines. The order is that in which they
/// are filled: the rarer the evidence, the sooner it is given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// What the reader should hear first.
    Hook,
    /// Who says what about it.
    Views,
    /// What comes next.
    Next,
    /// Figures.
    Numbers,
    /// What happened.
    What,
    /// What led to it.
    Background,
    /// A section of somebody else's outline; judged by its heading and goal.
    Other,
}

/// Cue words of the parts, apart by `|`.
const VIEWS: &str = "우려|지적|비판|반발|요구했|불만|반대|찬성|주장|강조|전문가|교수|말했다|노조|논란|관계자|\
    국장|목소리|said|says|argues|argued|critics|convinced|concern|concerns|warned|warns|\
    oppose|opposed|cautioned|asked|association|union|against|experts|researchers|professor|residents";
const NEXT: &str = "계획|예정|오는|내년|다음 달|방침|목표|추진|개정|공청회|앞으로|논의한다|협의|연말|will|\
    plan|plans|expects|due|starts|next|must|until|if|offered|future|deadline";
const WHAT: &str = "밝혔다|발표|시작|확대|늘린다|늘어|도입|운행|새로|투입|결정|통과|announced|switched|\
    launched|voted|opened|approved|started|built|signed|released|set";
const BACKGROUND: &str = "지난|올해|기존|현행|이후|배경|원인|분석|조사|데이터|때문|그동안|because|since|before|\
    during|depend|depends|history|licensed|study|reports|reported|last|earlier|already";

impl Part {
    /// The part an outline section stands for, told by its id.
    pub(crate) fn of(section: &OutlineSection) -> Self {
        match section.id.as_str() {
            "hook" => Self::Hook,
            "what" => Self::What,
            "numbers" => Self::Numbers,
            "background" => Self::Background,
            "views" => Self::Views,
            "next" => Self::Next,
            _ => Self::Other,
        }
    }
}

/// For every candidate how well it fits the section, 0 to 1.
pub(crate) fn fits(section: &OutlineSection, pool: &Pool<'_>) -> Vec<f64> {
    let words = match Part::of(section) {
        Part::Hook => return pool.candidates.iter().map(|c| lead(c.index)).collect(),
        Part::Views => VIEWS,
        Part::Next => NEXT,
        Part::What => WHAT,
        Part::Background => BACKGROUND,
        Part::Numbers => return pool.candidates.iter().map(|c| figures(c.text)).collect(),
        Part::Other => return pool.likeness(&format!("{} {}", section.heading, section.goal)),
    };
    pool.candidates.iter().map(|c| cue(c.text, words)).collect()
}

/// 0.5 for one cue word, 1 for two or more. English cues are whole words,
/// Korean ones stems.
fn cue(text: &str, cues: &str) -> f64 {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let hits = cues
        .split('|')
        .filter(|cue| {
            if cue.is_ascii() {
                words.contains(cue)
            } else {
                lower.contains(*cue)
            }
        })
        .count();
    (hits as f64 / 2.0).min(1.0)
}
