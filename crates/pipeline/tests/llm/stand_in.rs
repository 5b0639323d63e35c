//! What the stand-in says when it is not scripted.

use super::*;

#[tokio::test]
async fn the_stand_in_plans_in_the_language_of_the_topic() {
    let provider = StandIn::start().await;
    let model = open(config(provider.url()));
    let cases = [
        ("한빛시 자율주행 심야버스", "ko"),
        ("Lumen Bay tidal battery", "en"),
    ];
    for (topic, lang) in cases {
        let request = ask_json(&format!("Topic: {topic}\nType: youtube"));
        let answer = model.complete(&request).await.unwrap().text;
        let mut plan: Value = serde_json::from_str(&answer).unwrap();
        let sections: Vec<OutlineSection> =
            serde_json::from_value(plan["sections"].take()).unwrap();
        let queries: Vec<PlannedQuery> = serde_json::from_value(plan["queries"].take()).unwrap();
        assert_eq!(plan["title"], topic);
        assert_eq!((sections.len(), queries.len()), (3, 3));
        assert_eq!(
            (queries[0].q.as_str(), queries[0].lang.as_str()),
            (topic, lang)
        );
    }
}

#[tokio::test]
async fn the_stand_in_writes_sentences_of_the_evidence_and_cites_them() {
    let prompt = "## First\n## Second\n\nEVIDENCE\n\
        [S1] Buses | Daily | 2026-11-16\nIt grew. It grew to 3 lines.\n\n\
        [S7] Fares | Post | 2026-11-12\nFares stay.\n";
    let first = "## First\nIt grew. [S1]\nFares stay. [S7]";
    let second = "## Second\nIt grew to 3 lines. [S1]\nFares stay. [S7]\n";
    let provider = StandIn::start().await;
    let model = open(config(provider.url()));
    let recorder = Arc::new(Recorder::default());
    let response = model.stream(&ask(prompt), recorder.clone()).await.unwrap();
    assert_eq!(response.text, format!("{first}\n\n{second}"));
    assert_eq!(recorder.text(), response.text);
    assert!(response.usage.prompt.is_some());

    let mut rest = ask(prompt);
    rest.messages.push(Message::new(Role::Assistant, first));
    assert_eq!(model.complete(&rest).await.unwrap().text, second);
}
