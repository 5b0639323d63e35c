//! GET /v1/jobs/{id}/children, and how families look.

use lovage_client::wire::JobState;
use lovage_core::broker::Spawn;
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::status::{Join, WaitReason};
use serde_json::{Value, json};

use crate::support::Server;

#[tokio::test]
async fn a_parent_shows_its_children_and_they_show_it() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let parent = claimed.job.id.uuid();
    assert!(
        server
            .client
            .children(parent)
            .await
            .unwrap()
            .children
            .is_empty()
    );
    let (first, second) = (server.job(), server.job());
    let spawn = Spawn {
        lease: claimed.lease.clone(),
        group: "pages".to_owned(),
        children: vec![first.clone(), second.clone()],
    };
    server.store.broker.spawn(&spawn).await.unwrap();
    let park = Outcome::Park {
        reason: WaitReason::Children(Join::All),
        after: limits::KEEP_CHILD,
    };
    server.store.settle(&claimed, park).await;

    let waits = server.client.job(parent).await.unwrap();
    assert_eq!((waits.state, waits.parent_id), (JobState::Waiting, None));
    let why = waits.waiting.unwrap();
    assert_eq!((why.reason.as_str(), why.signal), ("children", None));
    let child = server.client.job(first.id.uuid()).await.unwrap();
    assert_eq!(child.parent_id, Some(parent));

    server.client.cancel(first.id.uuid()).await.unwrap();
    let path = waits.links.children.unwrap();
    let list: Value = server.get(&path).await.json().await.unwrap();
    let expected = json!({"children": [
        {"id": first.id, "group": "pages", "ended": "cancelled"},
        {"id": second.id, "group": "pages", "ended": null},
    ]});
    assert_eq!(list, expected);
    let unknown = server.get(&format!("{path}?limit=1")).await;
    assert_eq!(unknown.status(), 422);
}
