//! What each kind says a job will use, and how near that comes.

mod job;

use std::sync::Arc;

use job::{run, with_model};
use lovage_pipeline::llm::Price;
use lovage_pipeline::script::Prices;
use lovage_pipeline::{Kinds, batch, standard};
use lovage_tests::llm::StandIn;
use lovage_workflow::Estimate;
use serde_json::{Value, json};

fn estimate(kinds: &Kinds, kind: &str, input: &Value) -> Estimate {
    let spec = &kinds.get(kind).expect("the kind is one of ours").spec;
    (spec.check)(input).expect("the input is valid");
    let estimate = spec.estimate.as_ref().expect("the kind estimates");
    estimate(input)
}

#[test]
fn every_kind_estimates_its_example_and_prices_it_where_a_price_is_known() {
    let price = Price {
        input: 0.75,
        output: 4.5,
        cached: None,
    };
    let unpriced = Kinds::new(standard());
    let priced = unpriced.priced(Prices::same(Some(price)));
    for entry in unpriced.iter() {
        let (name, example) = (entry.name(), &entry.example);
        let total = estimate(&unpriced, name, example).total();
        assert!(total.calls > 0 && total.prompt_tokens > 0, "{name}");
        assert_eq!(total.cost_usd, None, "{name}");
        let costs = estimate(&priced, name, example).total().cost_usd.unwrap();
        let tokens =
            (total.prompt_tokens as f64 * 0.75 + total.completion_tokens as f64 * 4.5) / 1e6;
        assert!((costs - tokens).abs() < 1e-9, "{name}");
        let unpriced = unpriced.priced(Prices::default());
        let notes = estimate(&unpriced, name, example).notes;
        assert!(notes.iter().any(|note| note.contains("no price")), "{name}");
    }
}

#[test]
fn a_batch_uses_what_its_items_use() {
    let kinds = Kinds::new(standard());
    let all = Kinds::new(
        standard()
            .into_iter()
            .chain([batch::entry(kinds.catalog())]),
    );
    let one = estimate(&kinds, "script.generate", &json!({"topic": "tides"})).total();
    let input = json!({"topics": ["tides", "tides", ""]});
    let batch = estimate(&all, "batch.generate", &input);
    let total = batch.total();
    assert_eq!(
        total.calls,
        2 * one.calls,
        "what does not fit is not counted"
    );
    assert_eq!(total.prompt_tokens, 2 * one.prompt_tokens);
    assert_eq!(
        batch.by_step.len(),
        3,
        "plan, write and images, each summed"
    );
}

#[tokio::test]
async fn a_job_makes_the_calls_that_were_estimated() {
    let stand_in = StandIn::start().await;
    // No model looks at images here; what those calls are is tested with them.
    let input = json!({"topic": "Lumen Bay tidal battery", "type": "news", "max_images": 0});
    let kinds = Kinds::new(standard());
    let told = estimate(&kinds, "script.generate", &input);
    let result = run(&with_model(&stand_in), &Arc::default(), &input)
        .await
        .unwrap();
    let steps: Vec<_> = told
        .by_step
        .iter()
        .map(|one| (&one.step, one.calls))
        .collect();
    let used = result.usage.by_step.iter();
    let used: Vec<_> = used.map(|one| (&one.step, u64::from(one.calls))).collect();
    assert_eq!(steps, used);
}
