//! What simulated clients do.

use std::time::Duration;

use scheduler::Time;

/// How a client behaves, over and over: it asks, holds, gives back, thinks.
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub lease: Length,
    pub think: Length,
    /// When it asks for the first time.
    pub starts_at: Duration,
    /// It asks only now and then.
    pub burst: Option<Burst>,
    /// The part of its requests that it gives up again within 30 ms.
    pub cancel_share: f64,
}

/// Busy for a while, silent for a while.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    pub on: Duration,
    pub off: Duration,
}

/// How long something takes.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    Fixed(Duration),
    /// Exponentially distributed around this mean.
    Random(Duration),
}

impl Behaviour {
    /// Asks again at once; leases of random length around `lease`.
    pub const fn busy(lease: Duration) -> Self {
        let think = Length::Fixed(Duration::ZERO);
        Self { lease: Length::Random(lease), think, starts_at: Duration::ZERO, burst: None, cancel_share: 0.0 }
    }

    pub const fn thinking(self, think: Duration) -> Self {
        Self { think: Length::Random(think), ..self }
    }

    pub const fn from(self, starts_at: Duration) -> Self {
        Self { starts_at, ..self }
    }

    /// Until when it is silent, if it is now.
    pub(super) fn silent_until(&self, now: Time) -> Option<Time> {
        let Burst { on, off } = self.burst?;
        let round = (on + off).as_nanos() as u64;
        let into = now.0 % round;
        (into >= on.as_nanos() as u64).then(|| Time(now.0 - into + round))
    }
}

impl Length {
    pub(super) fn roll(self, dice: &mut Dice) -> Duration {
        match self {
            Self::Fixed(length) => length,
            Self::Random(mean) => mean.mul_f64(-(1.0 - dice.unit()).ln()),
        }
    }
}

/// Seeded chance (SplitMix64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
