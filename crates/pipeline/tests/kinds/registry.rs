//! What every kind of the list has.

use lovage_pipeline::script::Prices;
use lovage_workflow::Runner;
use serde_json::json;

use super::{kinds, offline};

#[test]
fn every_kind_has_a_handler_a_valid_example_and_a_sentence_about_it() {
    let (kinds, deps) = (kinds(), offline());
    let (catalog, handlers) = (kinds.catalog(), kinds.handlers(&deps));
    let names: Vec<_> = kinds.iter().map(|entry| entry.name()).collect();
    assert_eq!(
        names,
        [
            "script.generate",
            "script.revise",
            "content.comprehensive",
            "batch.generate"
        ]
    );
    for entry in kinds.iter() {
        let (name, example) = (entry.name(), &entry.example);
        let bytes = example.to_string().len();
        let checked = catalog.check(name, example, bytes);
        assert!(checked.is_ok(), "{name}: {checked:?}");
        assert!(matches!(handlers.get(name), Some(Runner::Async(_))));
        assert!(!entry.spec.about.is_empty());
        let mut formats: Vec<_> = entry.renderings.iter().map(|one| one.format).collect();
        assert!(formats.contains(&"markdown") && formats.contains(&"chat"));
        formats.sort_unstable();
        formats.dedup();
        assert_eq!(formats.len(), entry.renderings.len(), "{name}");
        assert!(!formats.contains(&"json") && !formats.contains(&"all"));
    }
}

#[test]
fn priced_or_not_there_are_no_batches_of_batches() {
    let batch = json!({"kind": "batch.generate", "topics": ["tides"]});
    for kinds in [kinds(), kinds().priced(Prices::default())] {
        assert_eq!(kinds.iter().count(), 4);
        let catalog = kinds.catalog();
        let refused = catalog.check("batch.generate", &batch, 60);
        assert!(refused.is_err(), "{refused:?}");
    }
}
