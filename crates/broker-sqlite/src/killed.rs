//! Every verb that writes, in a process that is killed just before or just
//! after each of its commits, and sent again by the next process: the file ends
//! up as if nothing had happened.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;

use lovage_core::clock::Clock;
use lovage_core::limits;
use lovage_tests::clock::ManualClock;
use lovage_tests::killed::{CASES, Caller, Case, Play};

use crate::{SqliteBroker, SqliteConfig};

/// What a process that is to be killed is told: name of the case, commits to
/// let pass, moment, file, and time of the clock in ms, a line each.
const ORDERS: &str = "LOVAGE_TEST_KILLED";

/// When to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing is written.
    Before,
    /// Everything is written, and nobody has heard of it.
    After,
}

/// Times to let the moment pass, and then die in it.
static DEATH: Mutex<Option<(usize, Moment)>> = Mutex::new(None);

/// Ends the process, as a crash does, when the time has come.
pub(crate) fn pass(moment: Moment) {
    let mut death = DEATH.lock().expect("no panic while locked");
    match &mut *death {
        Some((0, at)) if *at == moment => std::process::abort(),
        Some((left, at)) if *at == moment => *left -= 1,
        _ => {}
    }
}

async fn open(path: &Path, clock: &ManualClock) -> Caller {
    let config = SqliteConfig {
        lease: limits::LEASE,
        clock: Arc::new(clock.clone()),
        ..SqliteConfig::new(path)
    };
    Caller::of(SqliteBroker::open(config).await.unwrap())
}

#[tokio::test]
#[ignore = "begun by the test below, to be killed"]
async fn process_to_be_killed() {
    let orders = env::var(ORDERS).unwrap();
    let [name, pass, moment, path, millis] = *orders.lines().collect::<Vec<_>>() else {
        panic!("not five lines: {orders}");
    };
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    let moment = match moment {
        "Before" => Moment::Before,
        _ => Moment::After,
    };
    let start = jiff::Timestamp::from_millisecond(millis.parse().unwrap()).unwrap();
    let clock = ManualClock::at(start);
    let store = open(Path::new(path), &clock).await;
    let play = Play::resume(case, store, clock).await;
    *DEATH.lock().unwrap() = Some((pass.parse().unwrap(), moment));
    play.verb().await;
}

/// Whether the process came as far as being killed.
fn is_killed(case: &Case, pass: usize, moment: Moment, path: &Path, millis: i64) -> bool {
    let path = path.to_str().unwrap();
    let orders = format!("{}\n{pass}\n{moment:?}\n{path}\n{millis}", case.name);
    let process = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "killed::process_to_be_killed"])
        .env(ORDERS, orders)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&process.stdout);
    assert!(
        said.contains("running 1 test"),
        "it began: {said}\n{process:?}"
    );
    match process.status.code() {
        Some(0) => false,
        None => true,
        Some(code) => panic!("ended with {code}: {said}"),
    }
}

#[tokio::test]
async fn a_process_that_dies_around_a_commit_changes_nothing_once_the_call_is_sent_again() {
    for case in CASES {
        for moment in [Moment::Before, Moment::After] {
            for pass in 0.. {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("jobs.db");
                let start = ManualClock::default().now();
                let clock = ManualClock::at(start);
                drop(Play::begin(case, open(&path, &clock).await, clock).await);
                if !is_killed(case, pass, moment, &path, start.as_millisecond()) {
                    assert!(pass > 0, "{}: commits nothing", case.name);
                    break;
                }
                println!("{}: killed {moment:?} commit {pass}", case.name);
                let clock = ManualClock::at(start);
                let store = open(&path, &clock).await;
                let play = Play::resume(case, store, clock).await;
                play.verb().await;
                play.end(moment == Moment::After).await;
            }
        }
    }
}
