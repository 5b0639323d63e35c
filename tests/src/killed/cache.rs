//! Values made once and shared, with the connection lost.
//!
//! Whose right to make a value was lost with the answer holds it without
//! knowing, until its lease is over: so does who takes twice.

use std::time::Duration;

use lovage_core::cache::{CacheKey, CacheStats, Hold, Shelf, Taken};
use lovage_core::limits;

use super::World;
use crate::faults::answered;

/// The key that the cases are about, the first of others, and the one of a look.
const KEY: u8 = 1;
const OTHERS: u8 = 10;
const LOOK: u8 = 20;
/// Bytes of a value: three are as many as the cache may hold.
const VALUE: [u8; 10] = [7; 10];
/// Longer than everything runs to its end, and shorter than until all is forgotten.
const KEEP: Duration = Duration::from_secs(600);

fn key(number: u8) -> CacheKey {
    CacheKey {
        shelf: Shelf::Page,
        digest: [number; 32],
    }
}

async fn ask(world: &World, number: u8) -> Taken {
    let key = key(number);
    let taken = answered(|| world.cache.take(&key, limits::LEASE, Duration::ZERO)).await;
    taken.expect("the store answers")
}

async fn hold(world: &World, number: u8) -> Hold {
    match ask(world, number).await {
        Taken::Yours(hold) => hold,
        other => panic!("nobody made it: {other:?}"),
    }
}

/// Sent again after it took effect, it is told that its hold is over.
async fn keep(world: &World, hold: &Hold) {
    let kept = answered(|| world.cache.put(hold, &VALUE, KEEP)).await;
    kept.expect("the store answers");
}

async fn make(world: &World, number: u8) {
    let hold = hold(world, number).await;
    keep(world, &hold).await;
}

/// What the cache holds and did, and who is told what that asks for the key,
/// once what is past its time is dropped, which a put does.
pub(super) async fn look(world: &World) -> (CacheStats, Option<Vec<u8>>, bool) {
    world
        .cache
        .forget(&key(LOOK))
        .await
        .expect("the store answers");
    make(world, LOOK).await;
    let stats = world.cache.counts().await.expect("the store answers");
    match ask(world, KEY).await {
        Taken::Value(value) => (stats, Some(value), false),
        Taken::Busy => (stats, None, true),
        // Others are to find it as it was.
        Taken::Yours(hold) => {
            world.cache.abandon(&hold).await.expect("the store answers");
            (stats, None, false)
        }
    }
}

fn held(world: &World) -> Hold {
    let hold = *world.hold.lock().expect("no panic while locked");
    hold.expect("it was taken before")
}

// What comes before.

pub(super) async fn one_held(world: &World) {
    let hold = hold(world, KEY).await;
    *world.hold.lock().expect("no panic while locked") = Some(hold);
}

pub(super) async fn one_kept(world: &World) {
    make(world, KEY).await;
}

pub(super) async fn one_past_keeping(world: &World) {
    one_kept(world).await;
    world.clock.advance(KEEP);
}

/// The key is held, and there is no room for its value.
pub(super) async fn all_kept(world: &World) {
    for number in OTHERS..OTHERS + 3 {
        make(world, number).await;
        world.clock.advance(Duration::from_secs(1));
    }
    one_held(world).await;
}

// The verbs.

pub(super) async fn take(world: &World) {
    ask(world, KEY).await;
}

pub(super) async fn renew(world: &World) {
    world.clock.advance(limits::LEASE / 2);
    let hold = held(world);
    let renewed = answered(|| world.cache.renew(&hold, limits::LEASE)).await;
    assert!(renewed.expect("the store answers"), "nobody else took it");
}

pub(super) async fn put(world: &World) {
    keep(world, &held(world)).await;
}

pub(super) async fn abandon(world: &World) {
    let hold = held(world);
    let ended = answered(|| world.cache.abandon(&hold)).await;
    ended.expect("the store answers");
}

pub(super) async fn forget(world: &World) {
    let key = key(KEY);
    let dropped = answered(|| world.cache.forget(&key)).await;
    dropped.expect("the store answers");
}
