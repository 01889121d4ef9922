//! What a client sends, as far as its class depends on it, and the class for each of it.

use std::fmt;

use crate::ClassIndex;

/// How a unit of work uses its server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// A statement of its own, outside a transaction.
    Statement,
    /// A transaction, from what opens it.
    Transaction,
    /// A long answer outside a transaction: COPY, a cursor, or what sessions send that chose the workload `olap`.
    Stream,
}

impl Traffic {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Statement, Self::Transaction, Self::Stream];

    /// As the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Transaction => "transaction",
            Self::Stream => "stream",
        }
    }
}

/// What a statement does, by the word it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StatementKind {
    /// `SELECT`, `TABLE`, `VALUES`, `WITH … SELECT`.
    Select,
    /// `INSERT`, `REPLACE`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `CREATE`, `ALTER`, `DROP`, `TRUNCATE` and the like.
    Ddl,
    /// `COPY`, `LOAD DATA`.
    Copy,
    /// `CALL`, `DO`, `EXECUTE`.
    Call,
    /// `SET`, `RESET`.
    Set,
    /// Everything else, and what is not known.
    #[default]
    Other,
}

impl StatementKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Ddl,
        Self::Copy,
        Self::Call,
        Self::Set,
        Self::Other,
    ];

    /// As the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Ddl => "ddl",
            Self::Copy => "copy",
            Self::Call => "call",
            Self::Set => "set",
            Self::Other => "other",
        }
    }
}

/// What a session says of its work: Vitess's `SET workload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Workload {
    /// Short statements.
    #[default]
    Oltp,
    /// Long answers: its statements outside transactions are [`Traffic::Stream`].
    Olap,
    /// Maintenance.
    Dba,
}

impl Workload {
    /// The workload of this name, in any case; `unspecified` is `oltp`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match &*name.to_ascii_lowercase() {
            "oltp" | "unspecified" => Some(Self::Oltp),
            "olap" => Some(Self::Olap),
            "dba" => Some(Self::Dba),
            _ => None,
        }
    }

    /// As the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oltp => "oltp",
            Self::Olap => "olap",
            Self::Dba => "dba",
        }
    }
}

/// Whose work it is.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    /// The user, as the client names it.
    pub user: &'a str,
    /// The database, as the client names it.
    pub database: &'a str,
    /// What the client calls itself: `application_name`, or the attribute `program_name`; empty: nothing.
    pub application: &'a str,
    /// The value of the MySQL connection attribute of this name.
    pub attributes: &'a dyn Fn(&str) -> Option<&'a [u8]>,
    /// Whether the client set `CLIENT_FOUND_ROWS`.
    pub found_rows: bool,
    /// What the session said of its work.
    pub workload: Workload,
}

impl<'a> Who<'a> {
    /// A client of which nothing but the names is known.
    #[must_use]
    pub fn new(user: &'a str, database: &'a str) -> Self {
        let workload = Workload::default();
        Self { user, database, application: "", attributes: &|_| None, found_rows: false, workload }
    }
}

impl fmt::Debug for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, database, application, attributes: _, found_rows, workload } = self;
        f.debug_struct("Who")
            .field("user", user)
            .field("database", database)
            .field("application", application)
            .field("found_rows", found_rows)
            .field("workload", workload)
            .finish_non_exhaustive()
    }
}

/// The classes of all that one session may send. Small and without pointers: a session keeps it, and asks it at each lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    by_slot: [ClassIndex; Slots::COUNT],
}

impl Choice {
    /// The class that takes this.
    #[must_use]
    pub fn class(&self, traffic: Traffic, kind: StatementKind) -> ClassIndex {
        // Both are places in lists whose lengths multiply to that of this one.
        self.by_slot.get(slot(traffic, kind)).copied().unwrap_or_default()
    }

    /// Whether all goes to the default class.
    #[must_use]
    pub fn is_single(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn set(&mut self, slots: Slots, class: ClassIndex) {
        for (place, of_slot) in self.by_slot.iter_mut().enumerate() {
            if slots.0 & (1 << place) != 0 {
                *of_slot = class;
            }
        }
    }

    /// Statements outside transactions are streams from here on.
    pub(crate) fn stream_statements(&mut self) {
        for kind in StatementKind::ALL {
            self.by_slot[slot(Traffic::Statement, kind)] = self.class(Traffic::Stream, kind);
        }
    }
}

const fn slot(traffic: Traffic, kind: StatementKind) -> usize {
    traffic as usize * StatementKind::ALL.len() + kind as usize
}

/// A set of pairs of traffic and statement kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots(u32);

impl Slots {
    const COUNT: usize = Traffic::ALL.len() * StatementKind::ALL.len();
    pub(crate) const ALL: Self = Self((1 << Self::COUNT) - 1);

    /// Every pair out of both lists; an empty list stands for all.
    pub(crate) fn of(traffic: &[Traffic], kinds: &[StatementKind]) -> Self {
        let traffic = if traffic.is_empty() { &Traffic::ALL } else { traffic };
        let kinds = if kinds.is_empty() { &StatementKind::ALL[..] } else { kinds };
        let pairs = traffic.iter().flat_map(|traffic| kinds.iter().map(move |kind| slot(*traffic, *kind)));
        Self(pairs.fold(0, |slots, place| slots | 1 << place))
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
