//! From needs and limits to a budget: the larger of what is wanted, cut to the least of what is allowed.

use std::fmt;

use crate::{
    Derivation, Error, Knee, Queue, ServerLimit, Target, Workload, deadlock_floor, headroom,
    number::{count, real, time},
};

/// What the numbers take for granted; to be said with every answer.
pub const ASSUMPTIONS: [&str; 4] = [
    "the response time is that under this load, and stays the same with more connections (measure: --points)",
    "a connection is kept for the response time only: for transactions, give the time of the whole transaction",
    "statements come at random and are spread evenly over servers and instances",
    "nothing else is the limit, such as the processors of the servers",
];

/// What is asked for, and what is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needs {
    /// All of the work.
    pub work: Workload,
    /// How much waiting for a connection is acceptable.
    pub target: Target,
    /// At least this many times the ideal number: PolarDB-X's page says 1.5 to 2.
    pub headroom: Option<f64>,
    /// Tasks of one instance that take several connections of the pool at the same time, if there are such.
    pub tasks: Option<Tasks>,
    /// Servers that share the work evenly.
    pub servers: u32,
    /// Programs with pools of their own, such as nodes of Evenkeel, that share the work evenly.
    pub instances: u32,
    /// Statements that one server works on at once; more wait inside it.
    pub slots: Option<u32>,
    /// What one server lets in.
    pub limit: Option<ServerLimit>,
    /// Between which numbers of connections one server does best, as measured.
    pub knee: Option<Knee>,
}

/// Tasks that take several connections at the same time, and can wait for one another for ever if there are too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tasks {
    /// The most that run at once.
    pub tasks: u32,
    /// Connections that one of them has at the same time.
    pub connections_each: u32,
}

/// What says how large the budget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// The wait that is acceptable.
    WaitTarget,
    /// The headroom asked for.
    Headroom,
    /// Tasks that take several connections; with fewer they could block one another for ever.
    DeadlockFloor,
    /// A limit; more is wanted.
    Limited(Cap),
}

/// What a server cannot do more than.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// The statements it works on at once.
    Slots,
    /// The connections it lets in.
    ServerLimit,
    /// The connections beyond which it does no more work.
    Knee,
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slots => "its execution slots",
            Self::ServerLimit => "the connections it lets in",
            Self::Knee => "the knee of its throughput",
        })
    }
}

/// What the person who asks should know besides.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The work cannot be done with what is allowed.
    Overloaded {
        /// Connections of each pool.
        budget: u32,
        /// Connections of it that would be busy on average.
        load: f64,
        /// What would be enough, the response time staying as it is.
        servers: Option<u32>,
    },
    /// The work can be done, but the target is not met.
    TargetMissed {
        /// Connections of each pool that would meet it.
        need: u32,
        /// What is limited.
        cap: Cap,
        /// What would be enough.
        servers: Option<u32>,
    },
    /// With what is allowed, tasks that take several connections can block one another for ever.
    Deadlock {
        /// Connections of each pool.
        budget: u32,
        /// The fewest that are safe.
        floor: u32,
    },
    /// Response times vary so much that short statements wait behind long ones: C_s² is above 4.
    Varied {
        /// C_s².
        variation: f64,
    },
    /// Two times the ideal number, the most of the usual rule, is not enough for the target.
    RuleTooSmall {
        /// Two times the ideal number.
        rule: u32,
        /// What the target needs, all pools together.
        need: u64,
    },
    /// One and a half times the ideal number, the least of the usual rule, is more than the target needs.
    RuleTooLarge {
        /// One and a half times the ideal number.
        rule: u32,
        /// What the target needs, all pools together.
        need: u64,
    },
    /// What the headroom asks for of one server is more than it works on.
    QueuedInside {
        /// Connections to one server that would find no slot.
        queued: u32,
        /// Slots of one server.
        slots: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |f: &mut fmt::Formatter<'_>, servers: &Option<u32>| match servers {
            Some(servers) => write!(f, "; {} servers would do", count((*servers).into())),
            None => write!(f, "; more servers of this kind do not help"),
        };
        match self {
            Self::Overloaded { budget, load, servers } => {
                write!(
                    f,
                    "this cannot be done: {} connections of a pool would be busy on average, it may have {}, and clients would \
                     wait without end",
                    real(*load),
                    count((*budget).into())
                )?;
                more(f, servers)
            }
            Self::TargetMissed { need, cap, servers } => {
                write!(
                    f,
                    "the wait is longer than asked for: a pool would need {}, more than the server allows ({cap})",
                    count((*need).into())
                )?;
                more(f, servers)
            }
            Self::Deadlock { budget, floor } => write!(
                f,
                "tasks can block one another for ever: they need a pool of {}, and it may have {}; let fewer of them run at once",
                count((*floor).into()),
                count((*budget).into())
            ),
            Self::Varied { variation } => write!(
                f,
                "response times vary much (variance over square of the mean: {}): short statements wait behind long ones; \
                 give the long ones a user, or a class, of their own",
                real(*variation)
            ),
            Self::RuleTooSmall { rule, need } => write!(
                f,
                "the usual 1.5 to 2 times the ideal number is too little for so small a load: at most {}, and the wait needs {}",
                count((*rule).into()),
                count(*need)
            ),
            Self::RuleTooLarge { rule, need } => write!(
                f,
                "the usual 1.5 to 2 times the ideal number is more than so large a load needs: at least {}, and the wait needs {}; \
                 keep the rest for bursts of the response time, or do without",
                count((*rule).into()),
                count(*need)
            ),
            Self::QueuedInside { queued, slots } => write!(
                f,
                "with 1.5 times the ideal number, {} connections to each server would find its {} slots taken and wait inside it, \
                 where no one shares fairly",
                count((*queued).into()),
                count((*slots).into())
            ),
        }
    }
}

/// How large the pools should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Connections of one instance to one server, at most: what to configure.
    pub budget: u32,
    /// More than that brings nothing: what the limits allow of twice the ideal number, and never below the budget.
    pub useful: u32,
    /// Connections of all instances to all servers.
    pub total: u64,
    /// The fewest that could do the work if they were always busy, all pools together.
    pub ideal: u32,
    /// Connections that one pool needs for the target.
    pub need: u32,
    /// What says so.
    pub binding: Binding,
    /// The waiting to expect with it; `None` when it never ends.
    pub expected: Option<Queue>,
    /// What else there is to know.
    pub warnings: Vec<Warning>,
    /// How it came about.
    pub derivation: Derivation,
}

impl Needs {
    /// The work and its target on one server, with nothing that limits it.
    pub fn new(work: Workload, target: Target) -> Self {
        Self {
            work,
            target,
            headroom: None,
            tasks: None,
            servers: 1,
            instances: 1,
            slots: None,
            limit: None,
            knee: None,
        }
    }

    /// Says how large the pools should be.
    ///
    /// Each server has a queue in each instance, and each queue is worked out for itself: what one large pool needs, divided by
    /// their number, would be too little for each.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], when a number makes no sense; [`Error::NoRoom`], when the limits leave
    /// less than one connection for each instance.
    pub fn advise(&self) -> Result<Advice, Error> {
        let mut derivation = Derivation::default();
        derivation.take(self.work.little());
        let ideal = derivation.take(self.work.ideal());
        let pools = u64::from(self.servers.max(1)) * u64::from(self.instances.max(1));
        let own = self.of_one_pool(self.servers)?;
        if pools > 1 {
            derivation.push(
                "connections of one pool that are busy on average (a)",
                "busy on average / (servers × instances)",
                format!("{} / ({} × {})", real(self.work.busy()), self.servers.max(1), self.instances.max(1)),
                real(own.busy()),
            );
        }
        let need = derivation.take(Queue::least(&own, self.target)?).connections();
        let (wanted, mut binding) = self.wanted(&mut derivation, ideal, need)?;
        let cap = self.cap(&mut derivation)?;
        let mut budget = wanted;
        if let Some((cap, most)) = cap
            && most < wanted
        {
            (budget, binding) = (most, Binding::Limited(cap));
        }
        let twice = u64::from(headroom(ideal, 2.0)?.value).div_ceil(pools) as u32;
        let useful = cap.map_or(twice, |(_, most)| twice.min(most)).max(budget);
        let expected = match Queue::new(&own, budget) {
            Ok(queue) => {
                derivation.take(queue.expected(self.percent()));
                Some(queue)
            }
            Err(Error::Overloaded { .. }) => None,
            Err(error) => return Err(error),
        };
        let warnings = self.warnings(ideal, need, budget, binding, own.busy())?;
        Ok(Advice {
            budget,
            useful,
            total: u64::from(budget) * pools,
            ideal,
            need,
            binding,
            expected,
            warnings,
            derivation,
        })
    }

    /// The most that any of the reasons asks for, before the limits, and which one.
    fn wanted(&self, derivation: &mut Derivation, ideal: u32, need: u32) -> Result<(u32, Binding), Error> {
        let pools = u64::from(self.servers.max(1)) * u64::from(self.instances.max(1));
        let mut wanted = (need, Binding::WaitTarget);
        if let Some(factor) = self.headroom {
            let of_all = u64::from(derivation.take(headroom(ideal, factor)?));
            let of_one = of_all.div_ceil(pools) as u32;
            if of_one > wanted.0 {
                wanted = (of_one, Binding::Headroom);
            }
        }
        if let Some(tasks) = self.tasks {
            let floor = derivation.take(deadlock_floor(tasks.tasks, tasks.connections_each));
            if floor > wanted.0 {
                wanted = (floor, Binding::DeadlockFloor);
            }
        }
        Ok(wanted)
    }

    /// The percentile to show: the target's own, or 99.
    pub fn percent(&self) -> f64 {
        match self.target {
            Target::Percentile { percent, .. } => percent,
            Target::Mean(_) => 99.0,
        }
    }

    fn of_one_pool(&self, servers: u32) -> Result<Workload, Error> {
        self.work.split(servers.max(1).saturating_mul(self.instances.max(1)))
    }

    /// The least of what one pool may have, and why.
    fn cap(&self, derivation: &mut Derivation) -> Result<Option<(Cap, u32)>, Error> {
        let instances = self.instances.max(1);
        let of_server = [
            self.slots.map(|slots| (Cap::Slots, slots)),
            self.limit.map(|limit| (Cap::ServerLimit, derivation.take(limit.usable()))),
            self.knee.map(|knee| (Cap::Knee, knee.high)),
        ];
        let Some((cap, most)) = of_server.into_iter().flatten().min_by_key(|(_, most)| *most) else { return Ok(None) };
        let of_pool = most / instances;
        derivation.push(
            "connections of one pool, at most",
            "what one server allows / instances, rounded down",
            format!("{} ({cap}) / {instances}", count(most.into())),
            count(of_pool.into()),
        );
        if of_pool == 0 {
            return Err(Error::NoRoom { allowed: most, instances });
        }
        Ok(Some((cap, of_pool)))
    }

    fn warnings(&self, ideal: u32, need: u32, budget: u32, binding: Binding, load: f64) -> Result<Vec<Warning>, Error> {
        let mut warnings = Vec::new();
        if let Binding::Limited(cap) = binding {
            if f64::from(budget) <= load {
                warnings.push(Warning::Overloaded { budget, load, servers: self.servers_enough(budget) });
            } else if budget < need {
                warnings.push(Warning::TargetMissed { need, cap, servers: self.servers_enough(budget) });
            }
        }
        if let Some(Tasks { tasks, connections_each }) = self.tasks {
            let floor = deadlock_floor(tasks, connections_each).value;
            if budget < floor {
                warnings.push(Warning::Deadlock { budget, floor });
            }
        }
        let variation = self.work.variation();
        if variation > VARIATION_MAX {
            warnings.push(Warning::Varied { variation });
        }
        let pools = u64::from(self.servers.max(1)) * u64::from(self.instances.max(1));
        let need = u64::from(need) * pools;
        let (least, most) = (headroom(ideal, 1.5)?.value, headroom(ideal, 2.0)?.value);
        if u64::from(most) < need {
            warnings.push(Warning::RuleTooSmall { rule: most, need });
        } else if u64::from(least) > need {
            warnings.push(Warning::RuleTooLarge { rule: least, need });
        }
        if let Some(slots) = self.slots {
            let queued = crate::queued_inside(least, crate::Nodes { nodes: self.servers, slots }).value;
            if queued > 0 {
                warnings.push(Warning::QueuedInside { queued, slots });
            }
        }
        Ok(warnings)
    }

    /// The fewest servers with which a pool of `budget` connections to each meets the target.
    fn servers_enough(&self, budget: u32) -> Option<u32> {
        let busy_enough = self.work.busy() / f64::from(budget) / f64::from(self.instances.max(1));
        let first = (self.servers.max(1) + 1).max(busy_enough.ceil().min(f64::from(SERVERS_MAX)) as u32);
        (first..=SERVERS_MAX).find(|servers| {
            let queue = self.of_one_pool(*servers).and_then(|own| Queue::least(&own, self.target));
            queue.is_ok_and(|queue| queue.value.connections() <= budget)
        })
    }
}

/// The most servers that are thought of.
const SERVERS_MAX: u32 = 1_000;

/// Times that vary more than this wait much less in pools of their own.
const VARIATION_MAX: f64 = 4.0;

impl Advice {
    /// Why the budget is what it is, in a sentence.
    pub fn reason(&self, needs: &Needs) -> String {
        match (self.binding, needs.target) {
            (Binding::WaitTarget, Target::Percentile { percent, wait }) if wait.is_zero() => {
                format!("the fewest with which {} % of the statements find a connection free", real(percent))
            }
            (Binding::WaitTarget, Target::Percentile { percent, wait }) => {
                format!(
                    "the fewest with which {} % of the statements wait at most {}",
                    real(percent),
                    time(wait.as_secs_f64())
                )
            }
            (Binding::WaitTarget, Target::Mean(wait)) => {
                format!("the fewest with which the mean wait is at most {}", time(wait.as_secs_f64()))
            }
            (Binding::Headroom, _) => {
                format!("the headroom asked for; the wait alone would need {}", count(self.need.into()))
            }
            (Binding::DeadlockFloor, _) => {
                "the fewest with which tasks that take several connections cannot block one another for ever".into()
            }
            (Binding::Limited(cap), _) => {
                format!("all that a server allows ({cap}); the wait would need {}", count(self.need.into()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
