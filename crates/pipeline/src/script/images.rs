//! Beside the writer: fetch the images of the articles, and have a model look
//! at them while others still download.
//!
//! Every image is a durable step, and so is every call about images. The calls
//! are made for fixed groups of candidates, not for those that happen to be
//! there: a later attempt makes the same calls, and finds them stored.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use lovage_workflow::{Context, Failure, Payload};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::image::{self, Candidate, Kept};
use crate::llm::{Llm, LlmError, LlmErrorKind};
use crate::net::{Fetch, Origin};
use crate::prompts;

use super::fallback;
use super::ledger::Ledger;
use super::timed::Took;
use super::types::{
    Dossier, ImageKind, ImageRecord, Language, Script, ScriptResult, Timing, Warning,
};
use super::vision::{self, Described};

/// Version of how images are made; part of their steps' input.
const VERSION: &str = "images/1";
/// Name of the step that stores an image.
const STEP: &str = "image";
/// Name of the step that stores what a model says of images.
pub(super) const LOOK: &str = "vision";
/// Images in one call about them; up to [`ALONE_MAX`] each has a call of its own.
const GROUP_MAX: usize = 5;
/// So many images are looked at one by one, each as soon as it is there.
const ALONE_MAX: usize = 4;

/// What came of the images of a job.
#[derive(Debug, Default)]
pub(super) struct Pictured {
    images: Vec<ImageRecord>,
    timings: Vec<Timing>,
    warnings: Vec<Warning>,
}

/// What step `image` stores.
#[derive(Debug, Serialize, Deserialize)]
struct Fetched {
    id: String,
    took: Took,
    /// Why the image is not used.
    unfit: Option<String>,
    /// The job's deadline, where that is why.
    #[serde(default)]
    late: Option<Warning>,
    kept: Option<Kept>,
}

/// What step `vision` stores.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    took: Took,
    /// By the place of the image in the call.
    described: Vec<Option<Described>>,
    failed: Option<Warning>,
}

/// What the images need of the job and of the world.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context,
    pub(super) ledger: &'a Ledger,
    pub(super) topic: &'a str,
    pub(super) language: Language,
    pub(super) door: &'a dyn Fetch,
    /// The model that looks at them, if there is one.
    pub(super) eyes: Option<Arc<dyn Llm>>,
}

/// A group of candidates with what came of them.
struct Group {
    fetched: Vec<(Candidate, Fetched)>,
    seen: Option<Seen>,
}

/// Calls about so many images.
pub(super) fn calls(images: usize) -> usize {
    if images <= ALONE_MAX {
        images
    } else {
        images.div_ceil(GROUP_MAX)
    }
}

/// Groups of nearly equal size, one for each call.
fn grouped(candidates: Vec<Candidate>) -> Vec<Vec<Candidate>> {
    let calls = calls(candidates.len()).max(1);
    let size = candidates.len().div_ceil(calls).max(1);
    candidates.chunks(size).map(<[_]>::to_vec).collect()
}

impl Work<'_> {
    /// Fetches, and looks where there is a model with eyes. What goes wrong with
    /// an image or a call is told in the result and stops nothing; a call that a
    /// limit holds back for long parks the job, once the others have ended.
    pub(super) async fn run(&self, dossier: &Dossier, max: usize) -> Result<Pictured, Failure> {
        let candidates = image::candidates(&dossier.articles, max);
        let groups = grouped(candidates).into_iter();
        // Each to its end: a call that is dropped half way would be paid for twice.
        let groups = join_all(groups.map(|group| self.group(group))).await;
        let groups = groups.into_iter().collect::<Result<_, _>>()?;
        Ok(pictured(self.context, groups))
    }

    async fn group(&self, candidates: Vec<Candidate>) -> Result<Group, Failure> {
        let fetched = try_join_all(candidates.iter().map(|one| self.fetch(one))).await?;
        let images: Vec<(&str, &Kept)> = fetched
            .iter()
            .filter_map(|one| Some((one.id.as_str(), one.kept.as_ref()?)))
            .collect();
        let seen = match &self.eyes {
            Some(eyes) if !images.is_empty() => Some(self.look(eyes, &images).await?),
            _ => None,
        };
        Ok(Group {
            fetched: candidates.into_iter().zip(fetched).collect(),
            seen,
        })
    }

    async fn fetch(&self, candidate: &Candidate) -> Result<Fetched, Failure> {
        let context = self.context;
        let run = || async {
            let begun = context.now();
            let fetching = image::fetch(self.door, &candidate.url, Origin::Stranger);
            let (kept, unfit, late) = match self.ledger.in_time(fetching).await {
                Ok(Ok(kept)) => (Some(kept), None, None),
                Ok(Err(why)) => (None, Some(why.to_string()), None),
                Err(late) => (None, Some(late.detail.clone()), Some(late)),
            };
            let told = json!({
                "id": candidate.id, "source": candidate.source, "url": candidate.url, "unfit": unfit,
            });
            context.emit("image", Some(STEP), &told).await?;
            Ok(Fetched {
                id: candidate.id.clone(),
                took: Took::since(begun, context),
                unfit,
                late,
                kept,
            })
        };
        context.step(STEP, &(VERSION, candidate), run).await
    }

    async fn look(&self, eyes: &Arc<dyn Llm>, images: &[(&str, &Kept)]) -> Result<Seen, Failure> {
        let context = self.context;
        let known: Vec<(&str, &str)> = images
            .iter()
            .map(|(id, image)| (*id, image.sha256.as_str()))
            .collect();
        let input = (
            VERSION,
            prompts::VISION.version(),
            self.topic,
            self.language,
            known,
        );
        let run = || async {
            let begun = context.now();
            let answer = self.ask(eyes, images).await;
            let (described, failed) = match answer {
                Ok(described) => (described, None),
                Err(error) => match fallback::parked(&error) {
                    Some(parked) => return Err(parked),
                    None => (vec![None; images.len()], Some(warning(&error))),
                },
            };
            for ((id, _), described) in images.iter().zip(&described) {
                let analysis = described.as_ref().map(|one| &one.analysis);
                let told = json!({ "id": id, "analysis": analysis });
                context.emit("image_analysed", Some(LOOK), &told).await?;
            }
            Ok(Seen {
                took: Took::since(begun, context),
                described,
                failed,
            })
        };
        context.step(LOOK, &input, run).await
    }

    async fn ask(
        &self,
        eyes: &Arc<dyn Llm>,
        images: &[(&str, &Kept)],
    ) -> Result<Vec<Option<Described>>, LlmError> {
        let images: Vec<&Kept> = images.iter().map(|(_, image)| *image).collect();
        let asked = vision::request(self.topic, self.language, &images);
        let answer = eyes.complete(&asked).await?;
        match vision::read(&answer.text, images.len()) {
            Ok(described) => Ok(described),
            Err(error) => {
                eyes.reject(&asked).await;
                let detail = format!("the descriptions cannot be used: {error}");
                Err(LlmError::new(LlmErrorKind::BadOutput, detail))
            }
        }
    }
}

/// A description is worth a wait that uses no attempt, but no attempt: without
/// one an image is shown as its page describes it.
fn warning(error: &LlmError) -> Warning {
    let hint = match error.kind {
        LlmErrorKind::NotFound | LlmErrorKind::BadRequest | LlmErrorKind::Unsupported => {
            "; check llm.vision_model"
        }
        _ => "",
    };
    Warning {
        code: fallback::left_out(error.kind, "vision_failed"),
        detail: format!("images were not looked at: {error}{hint}"),
    }
}

fn pictured(context: &Context, groups: Vec<Group>) -> Pictured {
    let attempt = context.job().attempt;
    let (fetches, looks) = (
        fetch_timing(&groups, attempt),
        look_timing(&groups, attempt),
    );
    let mut result = Pictured {
        timings: fetches.into_iter().chain(looks).collect(),
        warnings: left_out(&groups).into_iter().chain(late(&groups)).collect(),
        ..Pictured::default()
    };
    let mut kept = Vec::new();
    for group in groups {
        let (mut described, failed) = match group.seen {
            Some(seen) => (seen.described.into_iter(), seen.failed),
            None => (Vec::new().into_iter(), None),
        };
        result.warnings.extend(failed);
        for (candidate, fetched) in group.fetched {
            if let Some(image) = fetched.kept {
                let described = described.next().flatten();
                kept.push((record(context, candidate, &image, described), image));
            }
        }
    }
    let looks: Vec<&Kept> = kept.iter().map(|(_, image)| image).collect();
    let repeats = image::repeats(&looks);
    let first = kept
        .into_iter()
        .zip(repeats)
        .filter(|(_, repeated)| repeated.is_none());
    result.images = first.map(|((record, _), _)| record).collect();
    result
}

fn record(
    context: &Context,
    candidate: Candidate,
    image: &Kept,
    described: Option<Described>,
) -> ImageRecord {
    let (alt, analysis) = match described {
        Some(described) => (described.alt, Some(described.analysis)),
        None => (String::new(), None),
    };
    ImageRecord {
        stored: format!("/v1/jobs/{}/images/{}", context.job().id, candidate.id),
        alt: if alt.is_empty() { candidate.alt } else { alt },
        id: candidate.id,
        source: candidate.source,
        url: candidate.url,
        width: image.width,
        height: image.height,
        bytes: image.jpeg.len(),
        sha256: image.sha256.clone(),
        truncated: image.truncated,
        analysis,
        used_in: None,
    }
}

/// One warning for all: that some images of a page are icons is no news.
fn left_out(groups: &[Group]) -> Option<Warning> {
    let all = groups.iter().flat_map(|group| &group.fetched);
    let unfit: Vec<String> = all
        .filter_map(|(candidate, fetched)| {
            Some(format!("{} ({})", candidate.url, fetched.unfit.as_ref()?))
        })
        .collect();
    (!unfit.is_empty()).then(|| Warning {
        code: "images_left_out".to_owned(),
        detail: unfit.join("; "),
    })
}

/// Said once, however many came too late.
fn late(groups: &[Group]) -> Option<Warning> {
    let mut all = groups.iter().flat_map(|group| &group.fetched);
    all.find_map(|(_, fetched)| fetched.late.clone())
}

fn fetch_timing(groups: &[Group], attempt: u32) -> Option<Timing> {
    let all = || groups.iter().flat_map(|group| &group.fetched);
    let took: Vec<Took> = all().map(|(_, fetched)| fetched.took).collect();
    let failed = all().filter(|(_, fetched)| fetched.kept.is_none()).count();
    timing("images", &took, attempt, (took.len(), failed))
}

fn look_timing(groups: &[Group], attempt: u32) -> Option<Timing> {
    let seen = || groups.iter().filter_map(|group| group.seen.as_ref());
    let took: Vec<Took> = seen().map(|seen| seen.took).collect();
    let described = || seen().flat_map(|seen| &seen.described);
    let failed = described().filter(|one| one.is_none()).count();
    timing(LOOK, &took, attempt, (described().count(), failed))
}

/// From the first begin to the last end: they run side by side. Items are all and those that failed.
fn timing(step: &str, took: &[Took], attempt: u32, items: (usize, usize)) -> Option<Timing> {
    let end = |took: &Took| took.started_at.as_millisecond() + took.ms as i64;
    let started_at = took.iter().map(|took| took.started_at).min()?;
    let ms = took.iter().map(end).max()? - started_at.as_millisecond();
    Some(Timing {
        step: step.to_owned(),
        started_at,
        ms: u64::try_from(ms).unwrap_or(0),
        items: Some(items.0),
        failed: Some(items.1),
        queue_ms: None,
        attempts: took.iter().map(|took| took.attempt).max()?,
        cached: took.iter().all(|took| took.attempt < attempt),
    })
}

impl Pictured {
    /// What went wrong with them.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.warnings.iter()
    }

    /// Puts the images into a result that has their warnings.
    pub(super) fn show_in(self, result: &mut ScriptResult, ledger: &Ledger) {
        let described = self.images.iter().filter(|image| image.analysis.is_some());
        result.usage.images = described.count() as u32;
        result.images = self.images;
        place(&mut result.script, &mut result.images);
        result.timings.extend(ledger.with_waits(self.timings));
    }
}

/// Puts each image beside the first line that cites its source and has none.
/// What a model took for advertising, a logo or beside the topic is not shown.
fn place(script: &mut Script, images: &mut [ImageRecord]) {
    let fits = |image: &&mut ImageRecord| {
        image.analysis.as_ref().is_none_or(|seen| {
            seen.relevant > 0 && !matches!(seen.kind, ImageKind::Ad | ImageKind::Logo)
        })
    };
    for image in images.iter_mut().filter(fits) {
        for section in &mut script.sections {
            let mut lines = section.lines.iter_mut();
            let line = lines.find(|line| {
                line.image.is_none() && line.cites.iter().any(|cite| cite.source == image.source)
            });
            if let Some(line) = line {
                line.image = Some(image.id.clone());
                image.used_in = Some(section.id.clone());
                break;
            }
        }
    }
}

/// The JPEG of image `id`, where the value of this step is what stored it.
pub fn stored_image(step: &str, value: &Payload, id: &str) -> Option<bytes::Bytes> {
    if step != STEP {
        return None;
    }
    let fetched: Fetched = value.read().ok()?;
    fetched
        .kept
        .filter(|_| fetched.id == id)
        .map(|kept| kept.jpeg)
}
