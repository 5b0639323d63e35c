//! From settings to the sources that research asks.

use std::collections::HashMap;
use std::sync::Arc;

use lovage_pipeline::net::{ClientSettings, Fetch, GuardedClient};
use lovage_pipeline::news::limits::SEARCHES_AT_ONCE;
use lovage_pipeline::news::{self, NewsSource, SOURCES, SourceSpec, Turns};
use lovage_pipeline::secret::Secret;
use url::Url;

use crate::config::{Research, source};
use crate::exit::{self, Exit};

/// A source of the settings.
pub(crate) struct Listed {
    /// Its name in reports.
    pub(crate) name: String,
    /// Whether its keys are there; none where it needs none.
    pub(crate) has_keys: Option<bool>,
    /// The source, or what is to be set before it is asked.
    pub(crate) source: Result<Arc<dyn NewsSource>, String>,
}

/// The doors to the network, one to pages and feeds and one to services, and
/// the turns at the services, which are the same behind whatever door.
pub(crate) struct Doors {
    /// The one to pages and feeds.
    pub(crate) pages: Arc<dyn Fetch>,
    services: Arc<dyn Fetch>,
    turns: HashMap<&'static str, Arc<Turns>>,
}

impl Doors {
    /// The guarded ones of the settings.
    ///
    /// # Errors
    /// Without a contact for the owners of the sites, or when a client cannot be set up.
    pub(crate) fn open(research: &Research) -> Result<Self, Exit> {
        Ok(Self {
            pages: pages(research)?,
            services: services(research)?,
            turns: turns(),
        })
    }

    /// The same doors, each behind what `wrap` puts before it.
    pub(crate) fn through(&self, wrap: impl Fn(Arc<dyn Fetch>) -> Arc<dyn Fetch>) -> Self {
        Self {
            pages: wrap(self.pages.clone()),
            services: wrap(self.services.clone()),
            turns: self.turns.clone(),
        }
    }
}

/// The sources that research asks.
pub(crate) fn asked(research: &Research, doors: &Doors) -> Vec<Arc<dyn NewsSource>> {
    let all = all(research, doors).into_iter();
    all.filter_map(|listed| listed.source.ok()).collect()
}

/// Every feed and service, those that are not asked too.
pub(crate) fn all(research: &Research, doors: &Doors) -> Vec<Listed> {
    let feeds = news::feeds(research.feeds.clone(), &doors.pages).into_iter();
    let feeds = feeds.map(|feed| Listed {
        name: feed.name().to_owned(),
        has_keys: None,
        source: Ok(feed),
    });
    let services = research.services.iter().map(|service| Listed {
        name: service.spec.name.to_owned(),
        has_keys: service.has_keys(),
        source: build(service, doors),
    });
    feeds.chain(services).collect()
}

fn build(service: &source::Service, doors: &Doors) -> Result<Arc<dyn NewsSource>, String> {
    let address = match (service.to_do(), &service.address) {
        (None, Some(address)) => address.clone(),
        (to_do, _) => return Err(to_do.unwrap_or_default()),
    };
    let keys = service.keys.iter().map(|key| Secret::new(key.expose()));
    let settings = news::Settings {
        address,
        keys: keys.collect(),
    };
    Ok(Arc::new(news::Service::new(
        service.spec,
        settings,
        Arc::clone(&doors.services),
        Arc::clone(&doors.turns[service.spec.name]),
    )))
}

/// Turns at every service that there is.
fn turns() -> HashMap<&'static str, Arc<Turns>> {
    let of = |spec: &&'static SourceSpec| (spec.name, Arc::new(Turns::new(spec.pause)));
    SOURCES.iter().map(of).collect()
}

/// The door to pages and feeds.
///
/// # Errors
/// Without a contact for the owners of the sites.
fn pages(research: &Research) -> Result<Arc<dyn Fetch>, Exit> {
    if research.contact.is_empty() {
        let why = "research.contact must be set for live research: an address or mailbox for the owners of the sites";
        return Err(Exit::new(exit::USAGE, why));
    }
    client(&ClientSettings {
        trusted_hosts: research.trusted_hosts.clone(),
        downloads: research.concurrency,
        ..ClientSettings::new(&research.contact)
    })
}

/// The door to the services, apart from that of the pages: they do not wait for
/// each other, and an address trusted here is no page that may be read.
fn services(research: &Research) -> Result<Arc<dyn Fetch>, Exit> {
    let chosen = research.services.iter();
    let chosen = chosen.filter(|service| service.address_is_set);
    client(&ClientSettings {
        trusted_hosts: chosen
            .filter_map(|service| host_and_port(service.address.as_ref()?))
            .collect(),
        downloads: SEARCHES_AT_ONCE,
        ..ClientSettings::new(&research.contact)
    })
}

fn client(settings: &ClientSettings) -> Result<Arc<dyn Fetch>, Exit> {
    match GuardedClient::new(settings) {
        Ok(client) => Ok(Arc::new(client)),
        Err(error) => Err(Exit::because("research settings", &error)),
    }
}

fn host_and_port(address: &Url) -> Option<String> {
    let (host, port) = (address.host_str()?, address.port_or_known_default()?);
    Some(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use lovage_pipeline::net::{FetchError, Page, Request};
    use lovage_pipeline::news::Query;
    use tokio::time::Instant;

    use super::*;

    /// Finds nothing, at once.
    struct Nothing;

    #[async_trait]
    impl Fetch for Nothing {
        async fn send(&self, request: &Request) -> Result<Page, FetchError> {
            Ok(Page {
                url: request.url.clone(),
                status: 200,
                content_type: None,
                etag: None,
                last_modified: None,
                cache_control: None,
                retry_after: None,
                body: "{}".into(),
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_asked_in_turn_through_whatever_door() {
        let doors = Doors {
            pages: Arc::new(Nothing),
            services: Arc::new(Nothing),
            turns: turns(),
        };
        let spec = SOURCES.iter().find(|spec| spec.name == "gdelt");
        let spec = spec.expect("GDELT is a service");
        let service = source::Service {
            spec,
            on: true,
            address: spec.address.parse().ok(),
            address_is_set: false,
            keys: Vec::new(),
        };
        let query = Query::about("tides", jiff::Timestamp::UNIX_EPOCH);
        let begin = Instant::now();
        for doors in [doors.through(|door| door), doors] {
            let source = build(&service, &doors).expect("it needs no key");
            source.search(&query).await.expect("it finds nothing");
        }
        assert_eq!(begin.elapsed(), spec.pause);
        assert!(spec.pause > Duration::ZERO);
    }
}
