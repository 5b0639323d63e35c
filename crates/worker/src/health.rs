//! Alive is not ready: whether the claim loops really come round.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use lovage_core::clock::Clock;

use crate::seat::Seat;

/// What a readiness probe asks of a worker. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    pulses: Vec<Pulse>,
    draining: AtomicBool,
}

/// When the store last answered one seat, in milliseconds; `i64::MIN` for never.
struct Pulse {
    came_round: AtomicI64,
    extended: AtomicI64,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>, seats: usize) -> Self {
        let pulse = || Pulse {
            came_round: AtomicI64::new(i64::MIN),
            extended: AtomicI64::new(i64::MIN),
        };
        let shared = Shared {
            clock,
            pulses: std::iter::repeat_with(pulse).take(seats).collect(),
            draining: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The claim loop of a seat got an answer: to a claim, or to its wait for a
    /// cancel while every slot is taken.
    pub(crate) fn came_round(&self, seat: &Seat) {
        let pulse = &self.shared.pulses[seat.index];
        pulse.came_round.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn extended(&self, seat: &Seat) {
        let pulse = &self.shared.pulses[seat.index];
        pulse.extended.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Ready while the worker takes jobs: on each queue its lease was extended
    /// and its claim loop came round (or waited for a slot) within `within`.
    ///
    /// # Errors
    /// Says what is wrong, for a person.
    pub fn ready(&self, within: Duration) -> Result<(), String> {
        if self.shared.draining.load(Ordering::Relaxed) {
            return Err("draining".to_owned());
        }
        let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let late = |at: i64| self.now().saturating_sub(at) > within;
        if late(self.oldest(|pulse| &pulse.extended)) {
            Err(format!(
                "has not extended its lease for longer than {within} ms"
            ))
        } else if late(self.oldest(|pulse| &pulse.came_round)) {
            Err(format!("has not claimed for longer than {within} ms"))
        } else {
            Ok(())
        }
    }

    fn oldest(&self, of: impl Fn(&Pulse) -> &AtomicI64) -> i64 {
        let times = self.shared.pulses.iter().map(of);
        let times = times.map(|at| at.load(Ordering::Relaxed));
        times.min().unwrap_or(i64::MIN)
    }

    fn now(&self) -> i64 {
        self.shared.clock.now().as_millisecond()
    }
}
