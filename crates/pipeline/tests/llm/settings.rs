//! Keys stay unseen; wrong settings are refused.

use super::*;

#[tokio::test]
async fn the_key_is_in_no_error_and_no_debug_text() {
    let provider = StandIn::start().await;
    provider.respond_with(|_| openai_error(401, "x", &format!("Incorrect API key: {KEY}.")));
    let config = OpenAiConfig {
        query: vec![("key".to_owned(), Secret::new(KEY))],
        ..config(provider.url())
    };
    let model = open(config.clone());
    let refused = model.complete(&ask("hello")).await.unwrap_err();
    assert!(refused.detail.contains("***"), "{refused}");
    let nowhere = open(OpenAiConfig {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        ..config.clone()
    });
    let unreachable = nowhere.complete(&ask("hello")).await.unwrap_err();
    let texts = [
        format!("{config:?} {model:?}"),
        format!("{refused} {refused:?}"),
        format!("{unreachable} {unreachable:?}"),
        format!("{0} {0:?}", Secret::new(KEY)),
    ];
    for text in texts {
        assert!(!text.contains(KEY), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_setting_is_refused_before_the_first_call() {
    install_tls();
    let build = |config| OpenAi::new(config, Arc::new(Semaphore::new(1)), 7).unwrap_err();
    let with_url = |url: &str| build(OpenAiConfig::new(url, "m"));
    assert!(matches!(with_url("not an address"), SetupError::BaseUrl(_)));
    assert!(matches!(
        with_url("ftp://example.com"),
        SetupError::BaseUrlForm
    ));
    let login = with_url("https://user:hunter2@example.com/v1");
    assert!(matches!(login, SetupError::BaseUrlForm));
    assert!(!format!("{login} {login:?}").contains("hunter2"));
    let bad_key = OpenAiConfig {
        api_key: Some(Secret::new("two\nlines")),
        ..OpenAiConfig::new("https://example.com/v1", "m")
    };
    assert!(matches!(build(bad_key), SetupError::KeyHeader));
}
