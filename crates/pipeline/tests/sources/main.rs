//! Every news source against a stand-in that answers as documented, and as the
//! real ones do at their worst.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documented;
mod feeds;
mod manners;
mod traps;
mod trust;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lovage_pipeline::net::client::Timeouts;
use lovage_pipeline::net::{ClientSettings, Fetch, GuardedClient};
use lovage_pipeline::news::{NewsSource, Query, SOURCES, Service, Settings, Turns};
use lovage_pipeline::secret::Secret;
use lovage_tests::services::Services;
use url::Url;

const TOPIC: &str = "Lumen Bay tidal battery";
const KEY: &str = "hunter2";

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn query(words: &str) -> Query {
    Query::about(words, now())
}

/// A door that reaches the stand-ins, and gives up soon.
fn door(services: &[&Services]) -> Arc<dyn Fetch> {
    // Ignored: another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = ClientSettings {
        trusted_hosts: services.iter().map(|services| services.host()).collect(),
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(1),
            total: Duration::from_secs(20),
        },
        ..ClientSettings::new("https://operator.example/contact")
    };
    Arc::new(GuardedClient::new(&settings).unwrap())
}

/// A service of the stand-in, with keys that can be recognised.
fn source(services: &Services, name: &str) -> Arc<dyn NewsSource> {
    let spec = SOURCES.iter().find(|spec| spec.name == name).unwrap();
    source_in(services, name, &Arc::new(Turns::new(spec.pause)))
}

/// The same, with these turns, through a door of its own.
fn source_in(services: &Services, name: &str, turns: &Arc<Turns>) -> Arc<dyn NewsSource> {
    let spec = SOURCES.iter().find(|spec| spec.name == name).unwrap();
    let settings = Settings {
        address: Url::parse(&services.address(name)).unwrap(),
        keys: spec.keys.iter().map(|_| Secret::new(KEY)).collect(),
    };
    let turns = Arc::clone(turns);
    Arc::new(Service::new(spec, settings, door(&[services]), turns))
}
