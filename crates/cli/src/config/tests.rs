use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lovage_core::limiter::Limits;
use lovage_pipeline::llm::Price;
use lovage_pipeline::script::Prices;
use tempfile::TempDir;
use toml::Value;

use super::{
    ConfigError, Format, LlmProvider, ResearchSource, Settings, Sources, Synchronous, VisionModel,
};

const PRODUCTION: &str = include_str!("../../../../config/production.toml");
const DEV: &str = include_str!("../../../../config/dev.toml");
const ENV_EXAMPLE: &str = include_str!("../../../../config/lovage.env.example");

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Without a `lovage.toml`, wherever the tests run.
fn load(sources: Sources) -> Result<Settings, ConfigError> {
    Settings::load_with(sources, Path::new("/there/is/no/lovage.toml"))
}

fn load_env(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    load(Sources {
        env: env(pairs),
        ..Sources::default()
    })
}

fn load_file(text: &str) -> Result<Settings, ConfigError> {
    let folder = TempDir::new().unwrap();
    load(Sources {
        file: Some(file(&folder, "test.toml", text)),
        ..Sources::default()
    })
}

/// The message, without the folder of the test.
fn refusal(loaded: Result<Settings, ConfigError>) -> String {
    let message = loaded.unwrap_err().to_string();
    let words = message.split_inclusive(' ');
    let name = |word: &str| match word.rfind("/test.toml") {
        Some(at) if word.starts_with('(') => format!("({}", &word[at + 1..]),
        Some(at) => word[at + 1..].to_owned(),
        None => word.to_owned(),
    };
    words.map(name).collect()
}

#[test]
fn the_defaults_are_the_embedded_file() {
    let settings = load(Sources::default()).unwrap();
    assert!(settings.store.url.expose().is_empty());
    assert_eq!(settings.store.data, Path::new(".lovage"));
    assert_eq!(settings.store.lease_s, lovage_core::limits::LEASE);
    assert_eq!(settings.store.keep_result_s, lovage_core::limits::KEEP);
    assert_eq!(settings.store.keep_failed_s, lovage_core::limits::KEEP_DEAD);
    assert_eq!(settings.store.synchronous, Synchronous::Normal);
    assert!(settings.api.listen.ip().is_loopback());
    assert!(!settings.api.insecure);
    assert_eq!(settings.worker.queues, ["default"]);
    assert_eq!(settings.llm.provider, LlmProvider::Auto);
    assert_eq!(settings.llm.concurrency, 3);
    assert_eq!(settings.research.source, ResearchSource::Auto);
    assert_eq!(settings.research.concurrency, 5);
    assert_eq!(settings.research.host_pause_ms, Duration::from_millis(500));
    assert_eq!(settings.log.format, Format::Auto);
    assert!(!settings.log.filter_is_set);
}

#[test]
fn flags_beat_environment_beats_file_beats_defaults() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "test.toml", "[worker]\nconcurrency = 2\n");
    let variable = [("LOVAGE__WORKER__CONCURRENCY", "3")];
    let flag = ("worker.concurrency".to_owned(), Value::Integer(4));
    for (with_file, with_env, with_flag, expected) in [
        (false, false, false, 32),
        (true, false, false, 2),
        (false, true, false, 3),
        (true, true, false, 3),
        (false, false, true, 4),
        (true, false, true, 4),
        (true, true, true, 4),
    ] {
        let settings = load(Sources {
            file: with_file.then(|| path.clone()),
            env: env(if with_env { &variable } else { &[] }),
            flags: if with_flag {
                vec![flag.clone()]
            } else {
                Vec::new()
            },
            recorded: None,
        })
        .unwrap();
        assert_eq!(settings.worker.concurrency, expected);
        assert_eq!(settings.worker.blocking_threads, 4, "other keys stay");
    }
}

#[test]
fn redis_is_one_server_or_several_with_tls_or_without() {
    for url in [
        "redis://host",
        "rediss://me:pw@host:6380/1",
        "redis+unix:///run/redis.sock",
        "redis-cluster://a:1,b:2",
        "rediss-sentinel://me:pw@a,b/main/0",
    ] {
        let settings = load_env(&[("REDIS_URL", url)]).unwrap();
        assert_eq!(settings.store.url.expose(), url);
        assert!(!settings.show().contains("pw"), "{}", settings.show());
    }
    let settings = load_env(&[
        ("LOVAGE__STORE__TLS_CERT", "client.pem"),
        ("LOVAGE__STORE__TLS_KEY", "client.key"),
        ("LOVAGE__STORE__SENTINEL_LOGIN", "me:hunter2"),
        ("LOVAGE__STORE__WAIT_REPLICAS", "1"),
    ])
    .unwrap();
    let pair = ("client.pem".into(), "client.key".into());
    assert_eq!(settings.store.tls.client, Some(pair));
    assert_eq!(settings.store.wait_replicas, 1);
    assert!(!settings.show().contains("hunter2"), "{}", settings.show());
}

#[test]
fn the_file_of_the_working_folder_is_read_unless_another_was_named() {
    let folder = TempDir::new().unwrap();
    let here = file(
        &folder,
        "lovage.toml",
        "[worker]\nconcurrency = 2\nblocking_threads = 2",
    );
    let named = file(&folder, "other.toml", "[worker]\nconcurrency = 3");
    let settings = Settings::load_with(Sources::default(), &here).unwrap();
    assert_eq!(settings.worker.concurrency, 2);
    let sources = Sources {
        file: Some(named),
        ..Sources::default()
    };
    let settings = Settings::load_with(sources, &here).unwrap();
    assert_eq!(settings.worker.concurrency, 3);
    assert_eq!(settings.worker.blocking_threads, 4);
}

#[test]
fn a_variable_is_read_as_the_type_of_its_default() {
    let settings = load_env(&[
        ("LOVAGE__STORE__DATA", " /srv/lovage data"),
        ("LOVAGE__STORE__SYNCHRONOUS", "full"),
        ("LOVAGE__LLM__PROVIDER", "openai"),
        ("LOVAGE__RESEARCH__SOURCE", "live"),
        ("LOVAGE__STORE__LEASE_S", " 30 "),
        ("LOVAGE__API__INSECURE", "true"),
        ("LOVAGE__WORKER__QUEUES", "default, slow,"),
        ("LOVAGE__LLM__MODEL", "7"),
        ("LOVAGE__RESEARCH__FEEDS", r#"["https://example.org/a,b"]"#),
        ("LOVAGE__RESEARCH__TRUSTED_HOSTS", "localhost:9000,[::1]:80"),
        ("LOVAGE_SEED", "not ours to read"),
    ])
    .unwrap();
    assert_eq!(settings.store.data, Path::new(" /srv/lovage data"));
    assert_eq!(settings.store.synchronous, Synchronous::Full);
    assert_eq!(settings.store.lease_s, Duration::from_secs(30));
    assert!(settings.api.insecure);
    assert_eq!(settings.worker.queues, ["default", "slow"]);
    assert_eq!(settings.llm.provider, LlmProvider::Openai);
    assert_eq!(settings.llm.model, "7");
    assert_eq!(
        settings.research.feeds[0].as_str(),
        "https://example.org/a,b"
    );
    assert_eq!(settings.research.source, ResearchSource::Live);
    assert_eq!(
        settings.research.trusted_hosts,
        ["localhost:9000", "[::1]:80"]
    );
}

#[test]
fn an_alias_sets_its_key_and_our_own_variable_beats_it() {
    for (alias, key, theirs, ours) in [
        ("REDIS_URL", "store.url", "redis://a", "redis://b"),
        ("OPENAI_API_KEY", "llm.api_key", "a", "b"),
        (
            "OPENAI_BASE_URL",
            "llm.base_url",
            "http://a/v1",
            "http://b/v1",
        ),
        ("RUST_LOG", "log.filter", "debug", "warn"),
    ] {
        let variable = format!("LOVAGE__{}", key.replace('.', "__").to_uppercase());
        let loaded = |pairs: &[(&str, &str)]| {
            let settings = load_env(pairs).unwrap();
            settings
                .layers
                .entry(key)
                .value
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(loaded(&[(alias, theirs)]), theirs);
        assert_eq!(loaded(&[(alias, theirs), (&variable, ours)]), ours);
        assert_eq!(
            loaded(&[(alias, "")]),
            loaded(&[]),
            "an empty {alias} is none"
        );
    }
}

#[test]
fn port_overrides_the_port_and_keeps_the_address() {
    let listen = |text: &str, pairs: &[(&str, &str)]| {
        let folder = TempDir::new().unwrap();
        let sources = Sources {
            file: Some(file(&folder, "test.toml", text)),
            env: env(pairs),
            ..Sources::default()
        };
        load(sources).map(|settings| settings.api.listen.to_string())
    };
    let file = "[api]\nlisten = \"[::]:80\"";
    assert_eq!(listen("", &[("PORT", "9000")]).unwrap(), "127.0.0.1:9000");
    assert_eq!(listen("", &[("PORT", "")]).unwrap(), "127.0.0.1:8080");
    assert_eq!(listen(file, &[("PORT", "9000")]).unwrap(), "[::]:9000");
    let ours = ("LOVAGE__API__LISTEN", "0.0.0.0:7000");
    assert_eq!(
        listen(file, &[("PORT", "9000"), ours]).unwrap(),
        "0.0.0.0:7000"
    );
    assert_eq!(
        listen(file, &[("PORT", "http")]).unwrap_err().to_string(),
        "api.listen must be an IP address and a port, such as \"127.0.0.1:8080\", \
         got \"http\" (from PORT)"
    );
    let wrong = listen("[api]\nlisten = \"localhost\"", &[("PORT", "9000")]).unwrap_err();
    assert!(wrong.to_string().contains("got \"localhost\""), "{wrong}");
}

#[test]
fn a_key_is_set_when_somebody_gave_it_even_its_default() {
    let given = load_env(&[("OPENAI_BASE_URL", "https://api.openai.com/v1")]).unwrap();
    assert!(given.is_set("llm.base_url") && !given.is_set("llm.model"));
    assert!(!load(Sources::default()).unwrap().is_set("llm.base_url"));
    assert!(load_env(&[("RUST_LOG", "info")]).unwrap().log.filter_is_set);
}

#[test]
fn a_value_may_stand_in_a_file_of_its_own() {
    let folder = TempDir::new().unwrap();
    let key = file(&folder, "key", "  hunter2\n");
    let number = file(&folder, "number", "8\n");
    let (key, number) = (key.to_str().unwrap(), number.to_str().unwrap());
    let variable = ("LOVAGE__LLM__API_KEY_FILE", key);
    let settings = load_env(&[
        variable,
        ("LOVAGE__LLM__API_KEY", ""),
        ("OPENAI_API_KEY", "alias"),
        ("LOVAGE__WORKER__CONCURRENCY_FILE", number),
    ])
    .unwrap();
    assert_eq!(settings.llm.api_key.expose(), "hunter2");
    assert_eq!(settings.worker.concurrency, 8);

    assert_eq!(
        refusal(load_env(&[variable, ("LOVAGE__LLM__API_KEY", "other")])),
        "LOVAGE__LLM__API_KEY and LOVAGE__LLM__API_KEY_FILE are both set; keep one"
    );
    assert_eq!(
        refusal(load_env(&[(
            "LOVAGE__LLM__API_KEY_FILE",
            "/there/is/no/key"
        )])),
        "cannot read /there/is/no/key (from LOVAGE__LLM__API_KEY_FILE)"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one_and_its_place() {
    for (loaded, expected) in [
        (
            load_file("[worker]\nqueues = [\"a\"]\nconcurency = 3"),
            "worker.concurency is not a setting; did you mean worker.concurrency? \
             (from test.toml line 3)",
        ),
        (
            load_file("concurrency = 3"),
            "concurrency is not a setting; did you mean worker.concurrency? \
             (from test.toml line 1)",
        ),
        (
            load_file("[worker.limits]\nconcurrency = 3"),
            "worker.limits is not a setting (from test.toml line 1)",
        ),
        (
            load_file("[colours]"),
            "colours is not a setting (from test.toml line 1)",
        ),
        (
            load_env(&[("LOVAGE__WORKER__CONCURENCY", "3")]),
            "worker.concurency is not a setting; did you mean worker.concurrency? \
             (from LOVAGE__WORKER__CONCURENCY)",
        ),
        (
            load_env(&[("LOVAGE__LLM__APIKEY_FILE", "/run/secrets/llm")]),
            "llm.apikey_file is not a setting; did you mean llm.api_key? \
             (from LOVAGE__LLM__APIKEY_FILE)",
        ),
        (
            load(Sources {
                flags: vec![("log.fromat".to_owned(), Value::from("json"))],
                ..Sources::default()
            }),
            "log.fromat is not a setting; did you mean log.format? (from the command line)",
        ),
    ] {
        assert_eq!(refusal(loaded), expected);
    }
}

#[test]
fn a_wrong_value_is_refused_with_what_was_expected_and_its_place() {
    for (loaded, expected) in [
        (
            load_env(&[("LOVAGE__WORKER__CONCURRENCY", "many")]),
            "worker.concurrency must be a whole number from 1 to 10000, got \"many\" \
             (from LOVAGE__WORKER__CONCURRENCY)",
        ),
        (
            load_file("[worker]\n\nconcurrency = 0"),
            "worker.concurrency must be a whole number from 1 to 10000, got 0 \
             (from test.toml line 3)",
        ),
        (
            load_file("worker.concurrency = -1"),
            "worker.concurrency must be a whole number from 1 to 10000, got -1 \
             (from test.toml line 1)",
        ),
        (
            load_file("[worker.concurrency]\nmost = 3"),
            "worker.concurrency must be a whole number from 1 to 10000, got a table \
             (from test.toml line 1)",
        ),
        (
            load_file("store.lease_s = 2"),
            "store.lease_s must be a whole number from 3 to 3600, got 2 (from test.toml line 1)",
        ),
        (
            load_file("api.insecure = 1"),
            "api.insecure must be true or false, got 1 (from test.toml line 1)",
        ),
        (
            load_env(&[("LOVAGE__LLM__PROVIDER", "claude")]),
            "llm.provider must be one of \"auto\", \"extractive\", \"openai\", got \"claude\" \
             (from LOVAGE__LLM__PROVIDER)",
        ),
        (
            load_file("worker.queues = \"default\""),
            "worker.queues must be a list of queue names (1 to 64 of a-z, 0-9, '.', '_', '-'), \
             got \"default\" (from test.toml line 1)",
        ),
        (
            load_file("worker.queues = [\"a\", \"a\"]"),
            "worker.queues must be a list of 1 to 256 different queues, got [\"a\", \"a\"] \
             (from test.toml line 1)",
        ),
        (
            load_env(&[("RUST_LOG", "lovage=loud")]),
            "log.filter must be a tracing filter such as \"info\" or \"lovage=debug,warn\", \
             got \"lovage=loud\" (from RUST_LOG)",
        ),
    ] {
        assert_eq!(refusal(loaded), expected);
    }
}

#[test]
fn every_key_refuses_a_wrong_type_and_a_senseless_value() {
    for wrong in [
        "store.url = \"localhost:6379\"",
        "store.url = 1",
        "store.url = \"http://host:6379\"",
        "store.url = \"redis-sentinel://host\"",
        "store.tls_cert = 1",
        "store.tls_key = \"client.key\"",
        "store.wait_replicas = 17",
        "store.data = \"\"",
        "store.prefix = \"{a}\"",
        "store.keep_result_s = 0",
        "store.keep_failed_s = 1.5",
        "store.synchronous = \"off\"",
        "api.listen = \"localhost:80\"",
        "api.body_bytes_max = 100",
        "worker.queues = []",
        "worker.queues = [1]",
        "worker.blocking_threads = 0",
        "worker.grace_s = 3601",
        "llm.base_url = \"ftp://host\"",
        "llm.api_key = 1",
        "llm.key_header = \"x key\"",
        "llm.model = \"\"",
        "llm.concurrency = 0",
        "llm.timeout_s = 0",
        "llm.idle_timeout_s = 0",
        "llm.rpm = -1",
        "llm.tpm = 1.5",
        "llm.concurrency_all = \"many\"",
        "llm.budget_usd_day = \"all\"",
        "llm.price_in = -0.1",
        "research.source = \"web\"",
        "research.sources.gdelt = 1",
        "research.keys.brave = 1",
        "research.addresses.gdelt = \"\"",
        "research.addresses.searxng = \"https://me@host\"",
        "research.feeds = [\"feed.xml\"]",
        "research.concurrency = 0",
        "research.host_pause_ms = -1",
        "research.trusted_hosts = [\"localhost\"]",
        "research.trusted_hosts = [\"a b:80\"]",
        "log.format = \"xml\"",
    ] {
        let key = wrong.split(' ').next().unwrap();
        match load_file(wrong) {
            Err(ConfigError::Invalid { key: refused, .. }) => assert_eq!(refused, key),
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

#[test]
fn every_service_has_its_switch_its_address_and_its_keys() {
    let settings = load(Sources::default()).unwrap();
    let services = &settings.research.services;
    for service in services {
        let address = service
            .address
            .as_ref()
            .map(|url| url.as_str().trim_end_matches('/'));
        assert_eq!(address.unwrap_or_default(), service.spec.address);
    }
    let asked = services.iter().filter(|service| service.is_asked());
    let asked: Vec<&str> = asked.map(|service| service.spec.name).collect();
    assert_eq!(asked, ["gdelt", "hacker_news", "wikipedia"]);
    assert!(
        !settings.research.is_set_up(),
        "the sample, without the network"
    );
    let lines = settings.show();
    let count = |section: &str| {
        let (_, after) = lines
            .split_once(&format!("[research.{section}]\n"))
            .unwrap();
        after.lines().take_while(|line| !line.is_empty()).count()
    };
    let keys: usize = services.iter().map(|service| service.spec.keys.len()).sum();
    // No line without a service.
    assert_eq!(
        (count("sources"), count("addresses"), count("keys")),
        (services.len(), services.len(), keys)
    );
}

#[test]
fn a_key_or_an_address_of_a_service_makes_research_live() {
    for (text, is_set_up) in [
        ("[research.keys]\ntavily = \"hunter2\"", true),
        (
            "[research.keys]\ntavily = \"hunter2\"\n[research.sources]\ntavily = false",
            false,
        ),
        (
            "[research.addresses]\nsearxng = \"http://searx:8080\"",
            true,
        ),
        ("[research.sources]\ngdelt = true", false),
    ] {
        let settings = load_file(text).unwrap();
        assert_eq!(settings.research.is_set_up(), is_set_up, "{text}");
        assert!(!settings.show().contains("hunter2"));
    }
}

#[test]
fn values_at_odds_with_each_other_are_refused() {
    assert_eq!(
        refusal(load_file("[llm]\ntimeout_s = 30\nidle_timeout_s = 31")),
        "llm.idle_timeout_s must be at most llm.timeout_s, which is 30, got 31 \
         (from test.toml line 3)"
    );
    assert_eq!(
        refusal(load_file("llm.budget_usd_day = 5")),
        "llm.budget_usd_day must be \"\" while llm.price_in and llm.price_out are not set: \
         what a call costs must be known, got 5 (from test.toml line 1)"
    );
    assert_eq!(
        refusal(load_file("[llm]\nprice_in = 0.75")),
        "llm.price_out must be set together with the other prices, got \"\" \
         (from the defaults)"
    );
    assert_eq!(
        refusal(load_file(
            "research.source = \"live\"\n[research.sources]\n\
             gdelt = false\nhacker_news = false\nwikipedia = false"
        )),
        "research.source must be \"auto\" or \"sample\" while there are no feeds and no services, \
         got \"live\" (from test.toml line 1)"
    );
    assert_eq!(
        refusal(load_file("[research.keys]\nnaver_id = \"hunter2\"")),
        "research.keys.naver_secret must be set too, as naver needs all its keys, \
         got \"\" (from the defaults)"
    );
}

#[test]
fn limits_and_prices_are_read_from_numbers_and_texts() {
    let none = load(Sources::default()).unwrap().llm;
    assert_eq!(
        (none.limits, none.prices),
        (Limits::default(), Prices::default())
    );
    let text = "[llm]\nrpm = 500\ntpm = 200000\nconcurrency_all = 20\n\
                budget_usd_day = 5\nprice_in = \"0.75\"\nprice_out = 4.5";
    let set = load_file(text).unwrap().llm;
    let limits = Limits {
        rpm: Some(500),
        tpm: Some(200_000),
        concurrency: Some(20),
        budget_usd: Some(5.0),
    };
    let price = Price {
        input: 0.75,
        output: 4.5,
        cached: None,
    };
    // One model does both.
    assert_eq!(
        (set.limits, set.prices),
        (limits, Prices::same(Some(price)))
    );
}

#[test]
fn another_model_for_images_has_no_price_but_its_own() {
    let priced = |rest: &str| {
        let text = format!("[llm]\nmodel = \"a\"\nprice_in = 1\nprice_out = 2\n{rest}");
        load_file(&text)
    };
    let writer = Some(Price {
        input: 1.0,
        output: 2.0,
        cached: None,
    });
    let own = Some(Price {
        input: 3.0,
        output: 4.0,
        cached: Some(0.5),
    });
    let set = "vision_price_in = 3\nvision_price_out = 4\nvision_price_cached = 0.5";
    for (rest, model, vision) in [
        ("", VisionModel::Same, writer),
        ("vision_model = \"a\"", VisionModel::Same, writer),
        ("vision_model = \"b\"", VisionModel::Other("b".into()), None),
        (
            &format!("vision_model = \"b\"\n{set}"),
            VisionModel::Other("b".into()),
            own,
        ),
        // Looking is turned off for a while; its price may stay.
        (
            &format!("vision_model = \"off\"\n{set}"),
            VisionModel::Off,
            writer,
        ),
    ] {
        let llm = priced(rest).unwrap().llm;
        let prices = Prices { writer, vision };
        assert_eq!((llm.vision_model, llm.prices), (model, prices), "{rest}");
    }
    assert_eq!(
        refusal(priced(set)),
        "llm.vision_price_in must be \"\" while llm.vision_model names no model of its own, \
         got 3 (from test.toml line 5)"
    );
    assert_eq!(
        refusal(priced("vision_model = \"b\"\nbudget_usd_day = 5")),
        "llm.budget_usd_day must be \"\" while llm.vision_price_in and llm.vision_price_out are \
         not set: what a call costs must be known, got 5 (from test.toml line 6)"
    );
    assert_eq!(
        refusal(priced("vision_model = \"b\"\nvision_price_in = 3")),
        "llm.vision_price_out must be set together with the other prices, got \"\" \
         (from the defaults)"
    );
}

#[test]
fn a_named_file_must_be_there() {
    let error = load(Sources {
        file: Some("/there/is/no/file.toml".into()),
        ..Sources::default()
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the settings file /there/is/no/file.toml"
    );
    assert!(error.source().is_some());
}

#[test]
fn a_file_beyond_its_bound_is_refused() {
    let error = load_file(&"#".repeat((1 << 20) + 1)).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "file too large");
}

#[test]
fn bad_toml_is_refused_with_its_line_but_not_its_text() {
    let message = refusal(load_file("[llm]\nmodel = \"a\"\n  api_key = \"hunter2\n"));
    assert!(
        message.starts_with("test.toml is not valid TOML: line 3, column "),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    let message = refusal(load_file("[llm]\nmodel = \"a\"\nmodel = \"b\"\n"));
    assert!(message.contains("line 3, column 1"), "{message}");
}

#[test]
fn a_section_without_keys_is_accepted() {
    load_file("[llm]\n# model = \"a\"\n[log]\n").unwrap();
}

#[test]
fn nothing_prints_a_secret() {
    let secrets = [
        ("LOVAGE__LLM__API_KEY", "hunter2"),
        ("LOVAGE__STORE__URL", "redis://:hunter2@host:6379"),
        ("LOVAGE__LLM__BASE_URL", "https://me:hunter2@host/v1"),
        (
            "LOVAGE__RESEARCH__FEEDS",
            "https://example.org/?token=hunter2",
        ),
    ];
    let settings = load_env(&secrets).unwrap();
    assert_eq!(settings.store.url.expose(), "redis://:hunter2@host:6379");
    let printed = format!("{settings:?}\n{settings:#?}\n{}", settings.show());
    assert!(!printed.contains("hunter2"), "{printed}");

    for (variable, value) in [
        ("LOVAGE__STORE__URL", "me:hunter2@host:6379"),
        ("LOVAGE__LLM__BASE_URL", "redis://:hunter2@host"),
        (
            "LOVAGE__RESEARCH__FEEDS",
            "https://a/, ftp://me:hunter2@host",
        ),
        ("LOVAGE__API__LISTEN", "http://me:hunter2@host"),
    ] {
        let message = refusal(load_env(&[(variable, value)]));
        assert!(
            !message.contains("hunter2") && message.contains(variable),
            "{message}"
        );
    }
    let message = refusal(load_file("llm.api_key = [\"hunter2\"]"));
    assert!(
        message.starts_with("llm.api_key must be text, got \"***\""),
        "{message}"
    );
}

#[test]
fn show_is_toml_that_says_where_values_came_from() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "test.toml", "[worker]\nqueues = [\"a\", \"b\"]\n");
    let settings = load(Sources {
        file: Some(path.clone()),
        env: env(&[("REDIS_URL", "redis://:pw@host"), ("OPENAI_API_KEY", "k")]),
        flags: vec![("worker.concurrency".to_owned(), Value::Integer(8))],
        recorded: None,
    })
    .unwrap();
    let shown = settings.show();
    for line in [
        "[store]\nurl = \"redis://:***@host\" # from REDIS_URL\ndata = \".lovage\"\n".to_owned(),
        format!("queues = [\"a\", \"b\"] # from {} line 2\n", path.display()),
        "\n\n[worker]\n".to_owned(),
        "concurrency = 8 # from the command line\nblocking_threads = 4\n".to_owned(),
        "api_key = \"***\" # from OPENAI_API_KEY\n".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line:?} is not in\n{shown}");
    }
    assert!(load_file(&shown).is_ok(), "{shown}");
}

#[test]
fn show_of_the_defaults_is_the_defaults_file_without_comments() {
    let expected: Vec<&str> = include_str!("../../../../config/lovage.toml")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let shown = load(Sources::default()).unwrap().show();
    let shown: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(shown, expected);
}

#[test]
fn the_overlays_load_and_change_what_they_name() {
    let production = load_file(PRODUCTION).unwrap();
    assert_eq!(production.log.format, Format::Json);
    assert_eq!(production.store.synchronous, Synchronous::Full);
    assert!(production.api.listen.ip().is_loopback() && !production.api.insecure);
    let dev = load_file(DEV).unwrap();
    assert_eq!(dev.log.format, Format::Text);
    assert!(dev.api.listen.ip().is_loopback());
}

#[test]
fn every_variable_of_the_example_is_understood() {
    let pairs: Vec<(&str, &str)> = ENV_EXAMPLE
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .collect();
    assert!(pairs.len() >= 8, "{pairs:?}");
    let defaults = load(Sources::default()).unwrap().show();
    for pair in pairs {
        assert!(!pair.0.starts_with(' '), "{pair:?}");
        match load_env(&[pair]) {
            Ok(settings) => assert_ne!(settings.show(), defaults, "{pair:?} is not read"),
            Err(ConfigError::ReadValue { variable, .. }) => assert_eq!(variable, pair.0),
            Err(other) => panic!("{pair:?}: {other}"),
        }
    }
}
