//! What a name resolves to, and what becomes of it when it changes its mind.

use reqwest::dns::{Name, Resolve};

use super::*;
use lovage_pipeline::net::guard::PublicDns;
use lovage_pipeline::net::limits::ADDRESSES_MAX;

/// A name server that gives each answer once, the last one forever, and counts.
fn changing(answers: &[&[&str]]) -> (Lookup, Arc<AtomicUsize>) {
    let answers: Vec<Vec<IpAddr>> = answers
        .iter()
        .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect())
        .collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let turn = counter.fetch_add(1, Ordering::SeqCst);
        let answer = answers[turn.min(answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    });
    (lookup, asked)
}

async fn resolved(dns: &PublicDns) -> Result<Vec<IpAddr>, String> {
    let name: Name = "news.example.com".parse().unwrap();
    let addresses = dns.resolve(name).await.map_err(|error| error.to_string())?;
    Ok(addresses.map(|address| address.ip()).collect())
}

#[tokio::test]
async fn one_answer_that_leads_inside_refuses_the_name() {
    for inside in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:192.168.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fd00:ec2::254",
        "fe80::1",
    ] {
        for answer in [
            vec![inside],
            vec!["1.1.1.1", inside],
            vec![inside, "1.1.1.1"],
            vec!["2606:4700::1111", "1.1.1.1", inside],
        ] {
            let client = GuardedClient::with_lookup(&settings(&[]), answering(&answer)).unwrap();
            let asked = url("http://127-0-0-1.news.example.com/");
            let got = client.get(&asked, Want::Html).await;
            assert!(
                matches!(got, Err(FetchError::Refused(_))),
                "{answer:?}: {got:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_private_answer_behind_many_public_ones_is_found() {
    let mut answer: Vec<String> = (0..200).map(|i| format!("1.1.{}.1", i)).collect();
    let public: Vec<&str> = answer.iter().map(String::as_str).collect();
    let kept = resolved(&PublicDns::new(answering(&public))).await.unwrap();
    assert_eq!(kept.len(), ADDRESSES_MAX, "not all of them are tried");
    answer.push("10.0.0.1".to_owned());
    let mixed: Vec<&str> = answer.iter().map(String::as_str).collect();
    let refused = resolved(&PublicDns::new(answering(&mixed))).await;
    assert_eq!(refused.unwrap_err(), "10.0.0.1 is not a public address");
}

#[tokio::test]
async fn a_connection_uses_the_answer_that_was_checked() {
    let (lookup, asked) = changing(&[&["1.1.1.1", "8.8.8.8"], &["127.0.0.1"]]);
    let dns = PublicDns::new(lookup);
    let first = resolved(&dns).await.unwrap();
    assert_eq!(
        first,
        ["1.1.1.1", "8.8.8.8"].map(|ip| ip.parse::<IpAddr>().unwrap())
    );
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "asked once, not checked and asked again"
    );
    assert!(
        resolved(&dns).await.is_err(),
        "the next answer is judged anew"
    );
}

/// The second answer of a name that is bound again leads to a server that
/// counts who comes.
#[tokio::test]
async fn a_name_that_is_bound_again_reaches_nothing_inside() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let inside = move || async move { counter.fetch_add(1, Ordering::SeqCst).to_string() };
    let server = Server::start(Router::new().route("/", get(inside))).await;
    // Of the public range and allocated to nobody: nothing answers there.
    let (lookup, asked) = changing(&[&["2d00::1"], &["127.0.0.1"]]);
    let client = GuardedClient::with_lookup(&settings(&[]), lookup).unwrap();
    let at = url("http://rebinding.example.com:8080/");
    let first = client.get(&at, Want::Html).await;
    assert!(
        matches!(first, Err(FetchError::Network(_) | FetchError::Timeout(_))),
        "{first:?}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let second = client.get(&at, Want::Html).await;
    assert!(matches!(second, Err(FetchError::Refused(_))), "{second:?}");
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    drop(server);
}

#[tokio::test]
async fn a_name_server_that_fails_is_a_network_error() {
    let failing: Lookup = Arc::new(|_| Box::pin(async { Err(std::io::Error::other("SERVFAIL")) }));
    let client = GuardedClient::with_lookup(&settings(&[]), failing).unwrap();
    let got = client
        .get(&url("https://news.example.com/"), Want::Html)
        .await;
    assert!(matches!(got, Err(FetchError::Network(_))), "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_hangs_ends_by_the_connect_timeout() {
    let hanging: Lookup = Arc::new(|_| Box::pin(std::future::pending()));
    let client = GuardedClient::with_lookup(&settings(&[]), hanging).unwrap();
    let got = client
        .get(&url("https://news.example.com/"), Want::Html)
        .await;
    assert_eq!(got, Err(FetchError::Timeout(2)));
}
